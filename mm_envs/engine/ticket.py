"""Tickets: one line of text that names one episode of one environment.

    mm1:MMCaption-v0:feedback=truth:scenes.8192-2048-2048.5f2c7e0b9a1d3c44:train.137:7.3.12:9f3a2c

The parts are the version of the form, the id, the arguments that differ from those that are registered, the
dataset (name, sizes of its splits, content), the split and the item, the seed, the row and the episode, and a
checksum of all that. What is not a small plain value is written as ``feedback=``: whoever replays gives it.
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
# 64 bits of the digest: another dataset goes unnoticed with odds of 1 to 10^19.
_CONTENT_DIGITS = 16
# A slip of the pen goes unnoticed with odds of 1 to 16 million.
_CHECK_DIGITS = 6
# Arguments whose strings are places on a disk, whatever they look like.
_PLACES = ("path", "vocabulary")
_WORD = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_JSON_WORDS = ("true", "false", "null", "Infinity", "NaN")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
_PARTS = "version, id, arguments, dataset, item, episode and checksum, parted by colons"


@dataclass(frozen=True)
class Ticket:
    """What a ticket says.

    Attributes:
        id: The id of the environment.
        arguments: Its keyword arguments that differ from those that are registered.
        missing: The names of arguments that no line of text can hold: objects, and places on one machine.
        dataset: The name of the dataset.
        sizes: How many items its train, validation and test split have.
        content: The first 16 hexadecimal digits of its fingerprint.
        split: The split of the item.
        item: The index of the item in the dataset.
        seed: The seed of the row.
        row: The number of the row.
        episode: How many episodes the row had finished before this one since it was seeded.

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
        said = [f"{name}={_text(value)}" for name, value in self.arguments.items()]
        said += [f"{name}=" for name in self.missing]
        parts = (
            VERSION,
            quote(self.id, safe="/"),
            ",".join(sorted(said)),
            ".".join((_quoted(self.dataset), "-".join(map(str, self.sizes)), self.content)),
            f"{_quoted(self.split)}.{self.item}",
            f"{self.seed}.{self.row}.{self.episode}",
        )
        line = ":".join(parts)
        return f"{line}:{_check(line)}"

    @classmethod
    def parse(cls, line: str) -> Ticket:
        """Reads a ticket, as what it is: words of a stranger.

        Raises:
            ValueError: It is no ticket, a slip of the pen changed it, or it says more than plain values.
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
        """Refuses a task on other items than those of the ticket.

        Raises:
            ValueError: Its name, sizes or content differ; the message says both.
        """
        there = dataset_of(task)
        if there != (self.dataset, self.sizes, self.content):
            raise ValueError(
                f"the ticket was made on dataset {_said(self.dataset, self.sizes, self.content)}, and this "
                f"one is {_said(*there)}: give the same files and the same arguments"
            )


def dataset_of(task: Task) -> tuple[str, tuple[int, ...], str]:
    """Name and sizes of the dataset of a task, and the content of its items, as tickets have them."""
    dataset, content = task.dataset, task.fingerprint()
    sizes = tuple(len(dataset.splits.get(split, ())) for split in SPLITS)
    if not re.fullmatch("[0-9a-f]{32,}", content):
        content = hashlib.sha256(content.encode()).hexdigest()
    return dataset.name, sizes, content[:_CONTENT_DIGITS]


def of_one_machine(name: str, value: Any) -> bool:
    """Whether a value names a place on a disk."""
    # A vocabulary may also be given as its words.
    written = value.values() if isinstance(value, Mapping) else [value]
    if name in _PLACES and any(isinstance(one, str) for one in written):
        return True
    return any("/" in text or "\\" in text or "\0" in text for text in texts(value))


def _text(value: Any) -> str:
    """A value of an argument: a word as it is, anything else as JSON in percent encoding."""
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
            wrong = f"{name}={value!r}, a place on a disk"
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


def _number(text: str, bits: int = 62) -> int:
    if not _NUMBER.fullmatch(text) or int(text) >= 2**bits:
        raise ValueError(f"{text!r} is not a whole number of at most {bits} bits")
    return int(text)


def _check(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_CHECK_DIGITS]


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def _said(name: str, sizes: tuple[int, ...], content: str) -> str:
    counts = ", ".join(f"{size} {split}" for split, size in zip(SPLITS, sizes, strict=False))
    return f"{name!r} ({counts} items; content {content})"
