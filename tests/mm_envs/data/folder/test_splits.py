from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_envs.data.dataset import SPLITS
from mm_envs.data.faults import Faults
from mm_envs.data.folder.splits import Content, by_hash, refuse_shared
from mm_envs.data.records import Record

QUICK = settings(max_examples=100, deadline=None)
FILES = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(
    lambda some: {f"file {n}": f"{n}.png" for n in some}
)
CONTENTS = st.lists(
    st.builds(Content, FILES, st.none() | st.sampled_from(["speaker=a", "speaker=b"])),
    min_size=1,
    max_size=30,
)


def in_two(contents: Any, splits: Any) -> Any:
    """What lies in two splits."""
    where = defaultdict(set)
    for content, split in zip(contents, splits, strict=True):
        for key in content.tied():
            if split is not None:
                where[key].add(split)
    return {key for key, found in where.items() if len(found) > 1}


def records(n: int) -> Any:
    return [Record(f"line {i}", {}) for i in range(n)]


@QUICK
@given(CONTENTS)
def test_nothing_lies_in_two_splits_by_hash(contents: Any) -> None:
    splits, _ = by_hash(contents)
    assert "train" in splits
    assert set(splits) <= set(SPLITS)
    assert not in_two(contents, splits)


@QUICK
@given(CONTENTS, st.randoms())
def test_the_order_of_the_items_does_not_matter(contents: Any, random: Any) -> None:
    splits, _ = by_hash(contents)
    order = list(range(len(contents)))
    random.shuffle(order)
    assert by_hash([contents[i] for i in order])[0] == [splits[i] for i in order]


@QUICK
@given(st.integers(3, 60))
def test_every_split_has_an_item_where_items_share_nothing(n: int) -> None:
    splits, _ = by_hash([Content({f"{i}": ""}) for i in range(n)])
    assert set(splits) == set(SPLITS)


def test_shares_and_staying() -> None:
    contents = [Content({f"{i}": ""}) for i in range(4000)]
    splits, notes = by_hash(contents)
    assert not notes
    assert abs(splits.count("train") / 4000 - 0.75) < 0.03
    assert abs(splits.count("test") / 4000 - 0.125) < 0.02
    assert by_hash(contents[:2000])[0] == splits[:2000]


def test_what_hangs_together_is_noted() -> None:
    tied = [Content({"one": "a.png", f"{i}": "b.wav"}) for i in range(5)]
    splits, notes = by_hash(tied)
    assert len(set(splits)) == 1
    assert "5 of 5 items hang together" in notes[0]


@QUICK
@given(CONTENTS, st.randoms())
def test_what_lies_in_two_named_splits_is_found(contents: Any, random: Any) -> None:
    splits = [random.choice(SPLITS) for _ in contents]
    clashes = in_two(contents, splits)
    if clashes:
        with pytest.raises(ValueError, match="line"):
            refuse_shared(records(len(contents)), contents, list(splits), Faults())
    else:
        refuse_shared(records(len(contents)), contents, list(splits), Faults())
    left, faults = list(splits), Faults("skip")
    refuse_shared(records(len(contents)), contents, left, faults)
    assert not in_two(contents, left)
    assert left.count(None) == faults.counts["split"]
    # Test items stay.
    assert all(one == "test" for one, before in zip(left, splits, strict=True) if before == "test")
    assert (left == splits) is (not clashes)


def test_both_lines_are_named() -> None:
    contents = [Content({"same": "a.png"}), Content({"same": "b.png"})]
    with pytest.raises(ValueError) as found:
        refuse_shared(records(2), contents, ["train", "test"], Faults())
    assert str(found.value) == (
        "line 0: a.png has the content of b.png (line 1), and they are in two splits, train and test: keep "
        "one of them"
    )
