"""Tickets: one line of text that names one episode of one environment.

    mm1:MMCaption-v0:feedback=truth:scenes.8192-2048-2048.5f2c7e0b9a1d3c44:train.137:7.3.12:9f3a2c

The parts are the version of the form, the id, the arguments that differ from the registered ones, the
dataset (name, sizes of its splits, content), split and item, seed, row and episode, and a checksum.
Arguments that are not small plain values are written as ``feedback=`` and given again at replay.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mm_envs.data.dataset import SPLITS
from mm_envs.untrusted import OF_GYMNASIUM, OF_THE_CALLER, OF_THE_MACHINE, objection
from mm_envs.values import plain, texts, tuples

if TYPE_CHECKING:
    from mm_envs.tasks.task import Task

VERSION = "mm1"
LONGEST = 2**16
NEVER = (*OF_THE_CALLER, *OF_THE_MACHINE, *OF_GYMNASIUM)
# 64 bits of the digest: two datasets collide with probability 1e-19.
_CONTENT_DIGITS = 16
# A typing error passes with probability 6e-8.
_CHECK_DIGITS = 6
# Arguments whose strings are paths, whatever they look like.
_PATHS = ("path", "vocabulary")
_WORD = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_JSON_WORDS = ("true", "false", "null", "Infinity", "NaN")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
_PARTS = "version, id, arguments, dataset, item, episode and checksum, parted by colons"


@dataclass(frozen=True)
class Ticket:
    """A parsed ticket.

    Attributes:
        id: The id of the environment.
        arguments: Its keyword arguments that differ from the registered ones.
        missing: Names of arguments that a line of text cannot hold: objects, and paths.
        dataset: The name of the dataset.
        sizes: Numbers of items of its train, validation and test split.
        content: The first 16 hexadecimal digits of its fingerprint.
        split: The split of the item.
        item: The index of the item in the dataset.
        seed: The seed of the row.
        row: The number of the row.
        episode: How many episodes the row had finished since it was seeded.

    Example:
        >>> line = str(Ticket("MMVQA-v0", "scenes", (8, 2, 2), "0123456789abcdef", "train", 5, 7, 3, 12))
        >>> line
        'mm1:MMVQA-v0::scenes.8-2-2.0123456789abcdef:train.5:7.3.12:52fb14'
        >>> Ticket.parse(line).episode
        12
    """

    id: str
    dataset: str
    sizes: tuple[int, ...]
    content: str
    split: str
    item: int
    seed: int
    row: int
    episode: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        arguments = [f"{name}={_text(value)}" for name, value in self.arguments.items()]
        arguments += [f"{name}=" for name in self.missing]
        parts = (
            VERSION,
            quote(self.id, safe="/"),
            ",".join(sorted(arguments)),
            ".".join((_quoted(self.dataset), "-".join(map(str, self.sizes)), self.content)),
            f"{_quoted(self.split)}.{self.item}",
            f"{self.seed}.{self.row}.{self.episode}",
        )
        line = ":".join(parts)
        return f"{line}:{_check(line)}"

    @classmethod
    def parse(cls, line: str) -> Ticket:
        """Parses a ticket, which is untrusted input.

        Raises:
            ValueError: It is no ticket, its checksum differs, or it holds more than plain values.
        """
        if not isinstance(line, str) or len(line) > LONGEST:
            raise ValueError(f"a ticket is one line of at most {LONGEST} characters: paste it whole")
        line = line.strip()
        if not line.startswith(f"{VERSION}:"):
            raise ValueError(
                f"ticket {_short(line)} does not begin with {VERSION}: "
                "paste it whole, or use the version of mm-envs that made it"
            )
        body, _, check = line.rpartition(":")
        if check != _check(body):
            raise ValueError(
                f"ticket {_short(line)} is not as it was made (its checksum differs): paste it whole"
            )
        try:
            ticket = cls._read(body.split(":"))
            if str(ticket) != line:
                raise ValueError("it is not in the form that mm_envs.ticket writes: make it anew")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"ticket {_short(line)}: {error}") from None
        return ticket

    @classmethod
    def _read(cls, parts: list[str]) -> Ticket:
        if len(parts) != 6:
            raise ValueError(f"it has {len(parts) + 1} parts: a ticket has {_PARTS}")
        _, name, arguments, dataset, item, key = parts
        given, missing = _arguments(arguments)
        named, sizes, content = _split(dataset, 3, "name.sizes.content of a dataset")
        if not re.fullmatch(f"[0-9a-f]{{{_CONTENT_DIGITS}}}", content):
            raise ValueError(f"content={content!r} is not {_CONTENT_DIGITS} hexadecimal digits")
        split, index = _split(item, 2, "split.item")
        seed, row, episode = _split(key, 3, "seed.row.episode")
        return cls(
            id=unquote(name),
            dataset=unquote(named),
            sizes=tuple(_number(size) for size in sizes.split("-")),
            content=content,
            split=unquote(split),
            item=_number(index),
            seed=_number(seed, 64),
            row=_number(row),
            episode=_number(episode),
            arguments=given,
            missing=missing,
        )

    def compare(self, task: Task) -> None:
        """Raises ValueError for a task on other items: name, sizes or content of its dataset differ."""
        there = dataset_of(task)
        if there != (self.dataset, self.sizes, self.content):
            made_on = _dataset_text(self.dataset, self.sizes, self.content)
            raise ValueError(
                f"the ticket was made on dataset {made_on}, and this one is {_dataset_text(*there)}: "
                "give the same files and the same arguments"
            )


def dataset_of(task: Task) -> tuple[str, tuple[int, ...], str]:
    """Name, sizes and content of the dataset of a task, as tickets hold them."""
    dataset, content = task.dataset, task.fingerprint()
    sizes = tuple(len(dataset.splits.get(split, ())) for split in SPLITS)
    if not re.fullmatch("[0-9a-f]{32,}", content):
        content = hashlib.sha256(content.encode()).hexdigest()
    return dataset.name, sizes, content[:_CONTENT_DIGITS]


def of_one_machine(name: str, value: Any) -> bool:
    """Whether a value holds a path."""
    # A vocabulary may also be given as its words.
    written = value.values() if isinstance(value, Mapping) else [value]
    if name in _PATHS and any(isinstance(one, str) for one in written):
        return True
    return any("/" in text or "\\" in text or "\0" in text for text in texts(value))


def _text(value: Any) -> str:
    """The value of an argument: a word as it is, anything else as JSON in percent encoding."""
    if isinstance(value, str) and _bare(value):
        return value
    # The order of keys stays: a weighted sum is rounded in the order of its parts.
    return quote(json.dumps(plain(value), separators=(",", ":")), safe="")


def _value(written: str) -> Any:
    try:
        return written if _bare(written) else tuples(json.loads(unquote(written)))
    except ValueError:
        raise ValueError(f"{_short(written)} is not JSON in percent encoding") from None


def _bare(text: str) -> bool:
    return bool(_WORD.fullmatch(text)) and text not in _JSON_WORDS


def _arguments(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    given: dict[str, Any] = {}
    missing: list[str] = []
    for pair in text.split(",") if text else ():
        name, equals, written = pair.partition("=")
        if not equals or not name.isidentifier() or name in (*given, *missing, *NEVER):
            raise ValueError(f"{pair!r} is not one argument as name=value")
        if not written:
            missing.append(name)
            continue
        given[name] = value = _value(written)
        wrong = objection(name, value)
        if wrong is None and of_one_machine(name, value):
            wrong = f"{name}={value!r}, a path on a disk"
        if wrong is not None:
            raise ValueError(f"it says {wrong}: make the environment yourself in Python")
    return given, tuple(missing)


def _quoted(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")


def _split(text: str, count: int, form: str) -> list[str]:
    parts = text.split(".")
    if len(parts) != count:
        raise ValueError(f"{text!r} is not {form}")
    return parts


def _number(text: str, size: int = 62) -> int:
    if not _NUMBER.fullmatch(text) or int(text) >= 2**size:
        raise ValueError(f"{text!r} is not a whole number of at most {size} bits")
    return int(text)


def _check(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_CHECK_DIGITS]


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def _dataset_text(name: str, sizes: tuple[int, ...], content: str) -> str:
    counts = ", ".join(f"{size} {split}" for split, size in zip(SPLITS, sizes, strict=False))
    return f"{name!r} ({counts} items; content {content})"
