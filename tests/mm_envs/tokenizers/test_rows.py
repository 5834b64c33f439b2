"""Rows of token ids: every operation against a plain loop, with any leading dimensions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mm_envs.tokenizers import (
    EOS,
    PAD,
    UNK,
    Vocabulary,
    blank,
    close,
    compact,
    is_padding,
    is_unknown,
    is_word,
    lengths,
    pad_rows,
    pad_to,
    sizes,
    words_first,
)

WIDTH = 6
ROWS = st.lists(st.lists(st.integers(0, 5), min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=8)


def before_eos(row: list[int]) -> list[int]:
    return row[: row.index(EOS)] if EOS in row else row


def padded(row: list[int], length: int = WIDTH) -> list[int]:
    return (row + [PAD] * length)[:length]


def closed(kept: list[int]) -> list[int]:
    return padded([*kept, EOS])


@given(ROWS)
def test_rows_are_as_a_loop_makes_them(rows: list[list[int]]) -> None:
    tokens = torch.tensor(rows)
    words = [[i for i in before_eos(row) if i != PAD] for row in rows]
    assert words_first(tokens).tolist() == [padded(row) for row in words]
    assert is_word(tokens).sum(-1).tolist() == [len(row) for row in words]
    assert lengths(tokens).tolist() == [len(before_eos(row)) for row in rows]
    assert sizes(tokens).tolist() == [sum(i != PAD for i in row) for row in rows]
    started = [before_eos(row) for row in rows]
    ended = [row[: row.index(PAD)] if PAD in row else row for row in started]
    assert close(tokens).tolist() == [closed(row) for row in ended]
    for length in (0, WIDTH - 2, WIDTH, WIDTH + 3):
        together = [padded([i for i in row if i != PAD], length) for row in rows]
        assert compact(tokens, length).tolist() == together
        assert pad_to(tokens, length).tolist() == [padded(row, length) for row in rows]


@given(ROWS, st.data())
def test_a_length_decides_where_a_row_is_closed(rows: list[list[int]], data: st.DataObject) -> None:
    ends = data.draw(st.lists(st.integers(0, WIDTH), min_size=len(rows), max_size=len(rows)))
    found = close(torch.tensor(rows), torch.tensor(ends)).tolist()
    assert found == [closed(row[:end]) for row, end in zip(rows, ends, strict=True)]


@given(ROWS)
def test_leading_dimensions_do_not_matter(rows: list[list[int]]) -> None:
    tokens = torch.tensor(rows)
    for operation in (is_word, is_padding, is_unknown, lengths, sizes, words_first, close):
        whole = operation(tokens)
        assert torch.equal(operation(tokens[None, :, None])[0, :, 0], whole)
        assert torch.equal(torch.stack([operation(row) for row in tokens]), whole)


def test_closing_changes_neither_the_words_nor_its_argument() -> None:
    tokens = torch.tensor([[5, 4, PAD, 3], [5, EOS, 3, 3], [3, 4, 5, 6], [EOS, 3, 3, 3]])
    before = tokens.clone()
    once = close(tokens)
    assert torch.equal(tokens, before)
    assert torch.equal(close(once), once)
    assert Vocabulary.of(["a", "b", "c", "d"]).decode(once[0]) == "c b"


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6), st.integers(0, 7))
def test_lists_become_one_tensor(rows: list[list[int]], length: int) -> None:
    longest = max(map(len, rows), default=0)
    table = pad_rows(rows)
    assert table.dtype == torch.int64
    assert table.shape == (len(rows), longest)
    assert table.tolist() == [padded(row, longest) for row in rows]
    assert pad_rows(rows, length).shape == (len(rows), length)
    assert pad_rows(rows, length).tolist() == [padded(row, length) for row in rows]


def test_blank_rows_and_marks() -> None:
    assert blank((2, 3)).tolist() == [[PAD] * 3] * 2
    assert is_unknown(torch.tensor([PAD, EOS, UNK, 3])).tolist() == [False, False, True, False]
    assert is_padding(blank((2,))).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_a_device_gives_the_same_rows() -> None:
    tokens = torch.randint(0, 6, (500, 9))
    for operation in (is_word, lengths, sizes, words_first, close):
        assert torch.equal(operation(tokens.cuda()).cpu(), operation(tokens))
