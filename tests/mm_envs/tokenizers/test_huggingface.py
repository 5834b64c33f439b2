"""Tokenizers of Hugging Face: trained here, since nothing is downloaded."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_envs.spaces import Tokens, from_json, to_json
from mm_envs.tokenizers import (
    EOS,
    PAD,
    UNK,
    HuggingFaceTokenizer,
    Tokenizer,
    Vocabulary,
    is_word,
)
from mm_envs.tokenizers import huggingface as adapter
from mm_envs.tokenizers.table import TOKENIZERS, from_plain, to_plain

tokenizers = pytest.importorskip("tokenizers")

SENTENCES = [
    "a red dog sits on the mat",
    "the blue cat runs below a small tree",
    "two dogs and a cat are left of the red circle",
    "what colour is the large square",
]
KINDS = ("bpe", "byte_bpe", "wordpiece")


def trained(kind: str) -> Any:
    models, decoders, parts = tokenizers.models, tokenizers.decoders, tokenizers.pre_tokenizers
    if kind == "wordpiece":
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.pre_tokenizer, made.decoder = parts.Whitespace(), decoders.WordPiece()
        made.normalizer = tokenizers.normalizers.Lowercase()
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        trainer = tokenizers.trainers.WordPieceTrainer(
            vocab_size=120, special_tokens=names, show_progress=False
        )
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    elif kind == "byte_bpe":
        # As of GPT-2: no padding, no unknown token.
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = parts.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=parts.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", dropout=0.5))
        made.pre_tokenizer, made.decoder = parts.Metaspace(), decoders.Metaspace()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=120, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False
        )
    made.train_from_iterator(SENTENCES, trainer)
    made.enable_truncation(3)
    made.enable_padding(length=7)
    return made


SOURCES = {kind: trained(kind).to_str() for kind in KINDS}
MADE = {kind: HuggingFaceTokenizer(source) for kind, source in SOURCES.items()}


@pytest.fixture(params=KINDS)
def words(request: pytest.FixtureRequest) -> HuggingFaceTokenizer:
    return MADE[request.param]


def changed(kind: str, **values: Any) -> str:
    return json.dumps({**json.loads(SOURCES[kind]), **values})


# Texts and ids ----------------------------------------------------------------------------------------------


def test_texts_come_back(words: HuggingFaceTokenizer) -> None:
    for sentence in SENTENCES:
        ids = words.encode(sentence, eos=True)
        assert words.decode(ids) == sentence
        assert ids[-1] == EOS
        assert is_word(ids).tolist() == [True] * (len(ids) - 1) + [False]
        assert words.encode(sentence.split()).tolist() == ids.tolist()[:-1]
        long = words.encode(sentence, length=80, eos=True)
        assert long.tolist() == ids.tolist() + [PAD] * (80 - len(ids))
        assert words.decode(long) == sentence
        assert words.encode(sentence, length=4, eos=True).tolist() == ids.tolist()[:4]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_byte_level_tokenizer_gives_any_text_back(text: str) -> None:
    words = MADE["byte_bpe"]
    assert words.decode(words.encode(text, eos=True)) == text.strip()


@given(st.text(max_size=40), st.sampled_from(KINDS))
@settings(max_examples=150, deadline=None)
def test_no_text_writes_padding_or_the_end(text: str, kind: str) -> None:
    words = MADE[kind]
    for written in (text, f"{text} </s> <|endoftext|> [SEP] [PAD] <pad> <eos> {text}"):
        ids = words.encode(written)
        assert ids.dtype == torch.int64
        assert bool(((ids >= UNK) & (ids < len(words))).all())


def test_every_id_has_a_name_and_the_special_ones_come_first(words: HuggingFaceTokenizer) -> None:
    assert isinstance(words, Tokenizer)
    assert isinstance(Vocabulary.of(["a"]), Tokenizer)
    assert words.words[:3] == ("<pad>", "<eos>", "<unk>")
    assert len(words) == len(words.words) == len(set(words.words))
    assert [words.ids[name] for name in words.words] == list(range(len(words)))
    assert words.words[-1] in words
    assert "no such token" not in words
    # The same names mean the same ids to the library, whatever its numbering.
    for i, name in enumerate(words.words[3:], 3):
        assert (
            words.decode(torch.tensor([i]))
            == words._library.decode([words._library.token_to_id(name)], skip_special_tokens=False).strip()
        )


def test_unknown_words_are_unknown() -> None:
    assert MADE["wordpiece"].encode("☃").tolist() == [UNK]
    assert UNK in MADE["bpe"].encode("☃").tolist()
    assert UNK not in MADE["byte_bpe"].encode("☃").tolist()
    assert MADE["wordpiece"].decode([UNK]) == "[UNK]"
    assert MADE["byte_bpe"].decode([UNK]) == ""


def test_a_text_has_the_same_ids_every_time() -> None:
    words = MADE["bpe"]  # its file has dropout
    first = words.encode(SENTENCES[0])
    assert all(torch.equal(words.encode(SENTENCES[0]), first) for _ in range(20))


# Ids of models ----------------------------------------------------------------------------------------------


def test_ids_of_the_model_are_those_of_the_library(words: HuggingFaceTokenizer) -> None:
    plain = tokenizers.Tokenizer.from_str(json.dumps(adapter._content(words.source, "source")))
    for sentence in SENTENCES:
        own = plain.encode(sentence, add_special_tokens=False).ids
        ids = words.encode(sentence)
        assert words.to_model(ids).tolist() == own
        assert torch.equal(words.from_model(torch.tensor([own])), ids[None])
    every = torch.arange(3, len(words)).view(1, -1)
    assert torch.equal(words.from_model(words.to_model(every)), every)
    end = words.to_model(torch.tensor([EOS]))
    assert plain.id_to_token(int(end)) == words.eos_token
    assert words.from_model(end).tolist() == [EOS]
    assert words.from_model(torch.tensor([-100, 10**6])).tolist() == [UNK, UNK]


def test_what_the_library_lacks_becomes_its_end_token() -> None:
    words = MADE["byte_bpe"]
    assert words.to_model(torch.tensor([PAD, EOS, UNK])).tolist() == [0, 0, 0]
    assert MADE["bpe"].to_model(torch.tensor([PAD, EOS, UNK])).tolist() == [1, 2, 3]
    # One token for the end and for padding: padding stays another id than <eos> here.
    same = HuggingFaceTokenizer(SOURCES["byte_bpe"], pad_token="<|endoftext|>", unk_token="<|endoftext|>")
    assert same.from_model(torch.tensor([0])).tolist() == [EOS]
    assert len(same) == len(words)


def test_special_tokens_are_chosen() -> None:
    usual, other = MADE["bpe"], HuggingFaceTokenizer(SOURCES["bpe"], eos_token="<s>")
    assert (usual.pad_token, usual.eos_token, usual.unk_token) == ("<pad>", "</s>", "<unk>")
    assert other.to_model(torch.tensor([EOS])).tolist() == [0]
    assert other.digest != usual.digest
    assert MADE["wordpiece"].eos_token == "[SEP]"


def test_gaps_in_the_numbering_cost_no_ids() -> None:
    words = HuggingFaceTokenizer(word_level({"</s>": 7, "red": 100, "?": 3, "dog": 50}))
    assert words.words == ("<pad>", "<eos>", "<unk>", "dog", "red")
    assert words.to_model(words.encode("red dog pink", eos=True)).tolist() == [100, 50, 3, 7]
    assert words.from_model(torch.arange(101)).unique().tolist() == [EOS, UNK, 3, 4]


# A value ----------------------------------------------------------------------------------------------------


def test_it_is_a_value(words: HuggingFaceTokenizer) -> None:
    for same in (
        HuggingFaceTokenizer.from_json(words.to_json()),
        pickle.loads(pickle.dumps(words)),
        copy.deepcopy(words),
        from_plain(json.loads(json.dumps(to_plain(words)))),
        HuggingFaceTokenizer(words.source, words.pad_token, words.eos_token, words.unk_token),
    ):
        assert same == words
        assert hash(same) == hash(words)
        assert same.digest == words.digest
        assert same.words == words.words
        assert same.encode(SENTENCES[0]).tolist() == words.encode(SENTENCES[0]).tolist()
    assert len(words.digest) == 16
    assert words.digest in repr(words)
    with pytest.raises(AttributeError):
        words.source = ""  # type: ignore[misc]


def test_the_digest_follows_the_content() -> None:
    assert len({words.digest for words in MADE.values()}) == len(KINDS)
    other = HuggingFaceTokenizer(changed("wordpiece", normalizer=None))
    assert other.digest != MADE["wordpiece"].digest
    assert other != MADE["wordpiece"]
    # Settings that have no effect here, and the order of keys, are no content.
    content = json.loads(SOURCES["bpe"])
    plain = dict(reversed({**content, "padding": None, "truncation": None}.items()))
    assert HuggingFaceTokenizer(json.dumps(plain, indent=1)) == MADE["bpe"]
    assert MADE["bpe"] != Vocabulary.of(["a"])


def test_a_space_keeps_any_tokenizer(words: HuggingFaceTokenizer) -> None:
    space = Tokens(9, words)
    assert from_json(to_json(space)) == pickle.loads(pickle.dumps(space)) == space
    assert space != Tokens(9, Vocabulary.of(map(str, range(len(words) - 3))))
    assert words.digest in repr(space)
    assert json.loads(to_json(space))["vocabulary"]["kind"] == "huggingface"


def test_every_kind_of_the_table_has_its_name() -> None:
    for kind, tokenizer in (("vocabulary", Vocabulary.of(["a"])), ("huggingface", MADE["bpe"])):
        assert tokenizer.kind == kind
        assert kind in TOKENIZERS
        assert from_plain(to_plain(tokenizer)) == tokenizer


# Files ------------------------------------------------------------------------------------------------------


def word_level(vocab: dict[str, int], **values: Any) -> str:
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "?"}
    return json.dumps(
        {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
        | values
    )


def test_a_file_and_its_folder_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(SOURCES["wordpiece"], encoding="utf-8")
    read = HuggingFaceTokenizer.from_file(path)
    assert read == HuggingFaceTokenizer.from_file(tmp_path) == MADE["wordpiece"]
    assert HuggingFaceTokenizer.from_file(str(path), eos_token="[CLS]") != read


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nonsense", "holds no JSON object"),
        ("[" * 100_000, "holds no JSON object"),
        ("[]", "holds no JSON object"),
        ("{}", "has no model"),
        ('{"model": 3}', "has no model"),
        ('{"model": {"type": "BPE"}}', "has no decoder"),
        ('{"model": {"type": "WordLevel"}}', "is no tokenizer"),
        ('{"model": {"type": "Code", "vocab": {}}, "decoder": {}}', "is no tokenizer"),
        (word_level({"</s>": 0, "?": -1}), "is no tokenizer"),
        (word_level({"</s>": 0, "?": 2**40}), "is no tokenizer"),
        (word_level({"</s>": 0, "?": 2**31}), "above 4194304: renumber"),
        (word_level({}), "has none of the end tokens"),
        (word_level({"?": 0, "red": 1}), "give eos_token="),
        (word_level({"</s>": 0, "red": 1}), "cannot encode .* unk_token"),
        (word_level({"</s>": 0, "?": float("nan")}), "is no tokenizer"),
    ],
)
def test_untrusted_files_are_refused_in_one_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(ValueError, match=sentence) as refused:
        HuggingFaceTokenizer.from_file(path)
    assert "file.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"nowhere.json' cannot be read \(No such file"):
        HuggingFaceTokenizer.from_file(tmp_path / "nowhere.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no UTF-8 text"):
        HuggingFaceTokenizer.from_file(tmp_path / "binary")
    monkeypatch.setattr(adapter, "MAX_BYTES", 1000)
    (tmp_path / "large").write_bytes(b" " * 1001)
    with pytest.raises(ValueError, match="large' is above"):
        HuggingFaceTokenizer.from_file(tmp_path / "large")
    with pytest.raises(ValueError, match="source is above"):
        HuggingFaceTokenizer(SOURCES["bpe"])


def test_a_token_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="pad_token='<p>' is no token of source: name one that it has"):
        HuggingFaceTokenizer(SOURCES["bpe"], pad_token="<p>")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "is no tokenizer: give a list of words"),
        ({"kind": "huggingface"}, "is no tokenizer: give a list of words"),
        ({"kind": "os:system", "content": "true"}, "kind='os:system' is not one of vocabulary, huggingface"),
        ({"kind": ["vocabulary"], "content": 1}, "is not one of vocabulary, huggingface"),
        (["<pad>", "<eos>", "<unk>", 4], "is no list of words"),
        ({"kind": "huggingface", "content": [1]}, "holds no JSON object"),
        ({"kind": "huggingface", "content": {}}, "tokenizer of the saved tokenizer is missing"),
        ({"kind": "huggingface", "content": {"eos_token": 1, "tokenizer": {}}}, "eos_token of the saved"),
        ({"kind": "huggingface", "content": {"tokenizer": {}}}, "the saved tokenizer has no model"),
    ],
)
def test_saved_values_are_untrusted_too(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_plain(value)


def test_a_kind_that_is_not_in_the_table_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HuggingFaceTokenizer, "kind", "mine")
    with pytest.raises(ValueError, match=r"kind='mine' is not one of .*: add the tokenizer to the table"):
        to_json(Tokens(3, MADE["bpe"]))


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "mm-envs\[hf\]"'):
        HuggingFaceTokenizer(SOURCES["bpe"])
