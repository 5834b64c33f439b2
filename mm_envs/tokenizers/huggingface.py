"""Tokenizers of Hugging Face, from a local ``tokenizer.json``. Needs the extra ``mm-envs[hf]``.

The ids of the library are remapped once, so that 0, 1 and 2 are ``<pad>``, ``<eos>`` and ``<unk>`` as in
all tokenizers here; ``to_model`` and ``from_model`` translate for models that take the library's own ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from mm_envs.optional import require
from mm_envs.tokenizers.tokenizer import EOS, PAD, SPECIALS, UNK, Words, as_row, words_in

MAX_BYTES = 64 * 2**20  # of a file; that of a vocabulary of 256,000 tokens has 34 MB
MAX_ID = 2**22  # of the library's own ids, which decide the size of a table

# Usual names of special tokens in published tokenizers, in order of preference.
_USUAL = {
    "pad_token": ("<pad>", "[PAD]", "<|pad|>"),
    "eos_token": ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "[SEP]"),
    "unk_token": ("<unk>", "[UNK]", "<|unk|>"),
}


@dataclass(frozen=True, eq=False, repr=False)
class HuggingFaceTokenizer:
    """A tokenizer of the package ``tokenizers`` with the ids of mm-envs.

    Texts are encoded without the special tokens that the library would add (``[CLS]``, ``<s>``); special
    tokens spelt out in a text are text. BPE dropout, truncation and padding of the file are switched off, so
    that a text always has the same ids.

    Args:
        source: The content of a ``tokenizer.json``.
        pad_token: The library's token for ``<pad>``; None: found by its usual names.
        eos_token: The library's token for ``<eos>``; likewise.
        unk_token: The library's token for ``<unk>``; None: that of the file's model, or by its usual names.
        name: The name of the source in errors.

    Raises:
        ImportError: The extra ``hf`` is not installed.
        ValueError: The source is no tokenizer, has no end token, or lacks a named token.

    Example:
        >>> source = '''{"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"},
        ...     "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"</s>": 0, "?": 1, "red": 2}}}'''
        >>> words = HuggingFaceTokenizer(source)
        >>> words.encode("red pink", length=4, eos=True).tolist()
        [3, 2, 1, 0]
        >>> words.to_model(words.encode("red pink", length=4, eos=True)).tolist()
        [2, 1, 0, 0]
        >>> words.decode([3, 3, 1, 0])
        'red red'
    """

    kind: ClassVar[str] = "huggingface"
    pad: ClassVar[int] = PAD
    eos: ClassVar[int] = EOS
    unk: ClassVar[int] = UNK

    source: str
    pad_token: str | None = None
    eos_token: str | None = None
    unk_token: str | None = None
    name: str = "source"
    words: tuple[str, ...] = field(init=False)
    _own: tuple[int | None, ...] = field(init=False)
    _library: Any = field(init=False)

    def __post_init__(self) -> None:
        content = _content(self.source, self.name)
        library = _build(content, self.name)
        known: dict[str, int] = library.get_vocab(with_added_tokens=True)
        if known and max(known.values()) > MAX_ID:
            raise ValueError(
                f"{self.name} has token id {max(known.values())}, above {MAX_ID}: renumber its tokens"
            )
        tokens = self._special_tokens(content, known)
        own = _distinct([None if token is None else known[token] for token in tokens])
        names: dict[int, str] = {}
        for word, i in sorted(known.items()):
            names.setdefault(i, word)
        ordinary = sorted(names.keys() - set(own))
        self._set(source=json.dumps(content, sort_keys=True), _library=library)
        self._set(**dict(zip(_USUAL, tokens, strict=True)))
        self._set(words=(*SPECIALS, *(names[i] for i in ordinary)), _own=(*own, *ordinary))
        # The library reports a missing unknown token only when it encodes an unknown word.
        self._encode("\N{SNOWMAN} a")

    def _set(self, **values: Any) -> None:
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    def _special_tokens(self, content: Mapping[str, Any], known: Mapping[str, int]) -> list[str | None]:
        """The library's tokens for ``<pad>``, ``<eos>`` and ``<unk>``, in this order."""
        model = content["model"]
        tokens = []
        for argument, usual in _USUAL.items():
            token = getattr(self, argument)
            if token is not None and token not in known:
                raise ValueError(f"{argument}={token!r} is no token of {self.name}: name one that it has")
            if token is None and argument == "unk_token" and model.get("unk_token") in known:
                token = model["unk_token"]
            tokens.append(token or next((name for name in usual if name in known), None))
        if tokens[EOS] is None:
            raise ValueError(
                f"{self.name} has none of the end tokens {', '.join(_USUAL['eos_token'])}: give eos_token="
            )
        return tokens

    @classmethod
    def from_file(cls, path: str | Path, **special_tokens: str | None) -> HuggingFaceTokenizer:
        """The tokenizer of a ``tokenizer.json``, or of the one in a folder. The file may be untrusted.

        ``special_tokens`` are those of the class.

        Raises:
            ValueError: The file cannot be read, is above 64 MiB, or is no tokenizer.
        """
        path = Path(path)
        path = path / "tokenizer.json" if path.is_dir() else path
        return cls(_read(path), name=repr(str(path)), **special_tokens)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of every name; of duplicate names the lowest one."""
        return {word: i for i, word in reversed(list(enumerate(self.words)))}

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with the content or the choice of special tokens."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def encode(self, text: Words, length: int | None = None, eos: bool = False) -> Tensor:
        """Token ids of a text, never ``<pad>`` or ``<eos>``; words are joined by spaces first."""
        known = self._ours
        own = self._encode(text if isinstance(text, str) else " ".join(text))
        return as_row([max(known.get(i, UNK), UNK) for i in own], length, eos)

    def _encode(self, text: str) -> list[int]:
        # A lone surrogate is no text that the library could take.
        text = text.encode("utf-8", "replace").decode()
        ids: list[int] = _guarded(
            lambda: self._library.encode(text, add_special_tokens=False).ids,
            f"{self.name} cannot encode {text[:60]!r}",
            "give its model an unk_token that is in its vocabulary",
        )
        return ids

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The text of one row of ids, up to ``<eos>``, stripped of white space.

        Padding is left out, and so is ``<unk>`` where the library has no such token.
        """
        own = [self._own[i] for i in words_in(ids)]
        text: str = self._library.decode([i for i in own if i is not None], skip_special_tokens=False)
        return text.strip()

    def to_model(self, ids: Tensor) -> Tensor:
        """The library's ids, of the same shape: the input of its models.

        ``<pad>`` and ``<unk>`` become the end token where the library has no such token: mask padding.
        """
        return self._on(ids.device)[0][ids]

    def from_model(self, ids: Tensor) -> Tensor:
        """The ids of mm-envs from the library's ids, of the same shape; unknown ids become ``<unk>``."""
        table = self._on(ids.device)[1]
        unknown = (ids < 0) | (ids >= len(table))
        return table[ids.masked_fill(unknown, 0)].masked_fill(unknown, UNK)

    @cached_property
    def _ours(self) -> dict[int, int]:
        return {own: i for i, own in enumerate(self._own) if own is not None}

    @cached_property
    def _tables(self) -> dict[torch.device, tuple[Tensor, Tensor]]:
        end = self._own[EOS]
        to_model = torch.tensor([end if own is None else own for own in self._own], dtype=torch.int64)
        from_model = torch.full((max(self._ours) + 1,), UNK, dtype=torch.int64)
        from_model[list(self._ours)] = torch.tensor(list(self._ours.values()))
        return {torch.device("cpu"): (to_model, from_model)}

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The tables of ``to_model`` and ``from_model`` on a device."""
        if device not in self._tables:
            to_model, from_model = self._tables[torch.device("cpu")]
            self._tables[device] = (to_model.to(device), from_model.to(device))
        return self._tables[device]

    def to_json(self) -> str:
        """The content of the file and the choice of special tokens as JSON text."""
        tokens = json.dumps({name: getattr(self, name) for name in _USUAL})
        return f'{tokens[:-1]}, "tokenizer": {self.source}}}'

    @classmethod
    def from_json(cls, text: str) -> HuggingFaceTokenizer:
        """The tokenizer that ``to_json`` wrote; the text may be untrusted."""
        saved = _object(text, "the saved tokenizer")
        tokens = {name: saved.get(name) for name in _USUAL}
        wrong = [name for name, token in tokens.items() if token is not None and not isinstance(token, str)]
        if wrong or not isinstance(saved.get("tokenizer"), dict):
            raise ValueError(
                f"{wrong[0] if wrong else 'tokenizer'} of the saved tokenizer is missing or of another type: "
                "save it again with to_json"
            )
        return cls(json.dumps(saved["tokenizer"]), **tokens, name="the saved tokenizer")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HuggingFaceTokenizer) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"HuggingFaceTokenizer({len(self)} ids, {self.digest})"

    def __reduce__(self) -> tuple[Callable[[str], HuggingFaceTokenizer], tuple[str]]:
        return HuggingFaceTokenizer.from_json, (self.to_json(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> HuggingFaceTokenizer:
        """Itself: it is immutable, and Gymnasium copies the arguments of every environment."""
        return self


def _distinct(own: Sequence[int | None]) -> list[int | None]:
    """The library's ids of ``<pad>``, ``<eos>`` and ``<unk>``; None where one serves as another."""
    pad, eos, unk = own
    unk = None if unk == eos else unk
    return [None if pad in (eos, unk) else pad, eos, unk]


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read ({error.strerror}): name a tokenizer.json") from None
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"{str(path)!r} is above {MAX_BYTES // 2**20} MiB: name the tokenizer.json of a model"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is no UTF-8 text: name a tokenizer.json") from None


def _object(text: str, name: str) -> dict[str, Any]:
    """The object of a JSON text."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"{name} is above {MAX_BYTES // 2**20} MiB: give the tokenizer.json of a model")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds no JSON object: give a tokenizer.json that tokenizers saved")
    return content


def _content(source: str, name: str) -> dict[str, Any]:
    """The content of a tokenizer.json without settings that make ids depend on chance or on the batch."""
    content = _object(source, name)
    model = content.get("model")
    if not isinstance(model, dict):
        raise ValueError(f"{name} has no model: give a tokenizer.json that tokenizers saved")
    if content.get("decoder") is None and model.get("type") != "WordLevel":
        raise ValueError(
            f"{name} has no decoder, so ids give no proper text: set tokenizer.decoder and save it again"
        )
    if "dropout" in model:
        model = {**model, "dropout": None}
    return {**content, "model": model, "truncation": None, "padding": None}


def _build(content: Mapping[str, Any], name: str) -> Any:
    """The tokenizer of the library."""
    require("tokenizers")
    from tokenizers import Tokenizer

    library = _guarded(
        lambda: Tokenizer.from_str(json.dumps(content)),
        f"{name} is no tokenizer",
        "give a tokenizer.json that tokenizers saved",
    )
    # Untrusted text must not write special tokens.
    library.encode_special_tokens = True
    return library


def _guarded(call: Callable[[], Any], problem: str, cure: str) -> Any:
    """Calls the library; its errors become ValueError."""
    try:
        return call()
    except BaseException as error:
        # A panic of Rust code derives from BaseException and cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())
        raise ValueError(f"{problem} ({reason:.120}): {cure}") from None
