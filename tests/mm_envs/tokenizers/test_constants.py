"""The ids of padding, the end and unknown words are known to tokenizers and answers only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("mm_envs", "agents", "feedback", "benchmarks")
OWNERS = ("mm_envs/tokenizers/", "mm_envs/answers/")
NAMES = {"PAD", "EOS", "UNK", "SPECIALS"}


def imported(source: str) -> set[str]:
    """The constants that a source takes from another module, by import or as an attribute."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mm_envs"):
            found |= NAMES & {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            found.add(node.attr)
    return found


def sources() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(OWNERS):
                yield name, path.read_text(encoding="utf-8")


def test_no_other_file_imports_the_constants() -> None:
    found = {name: sorted(names) for name, source in sources() if (names := imported(source))}
    assert not found, f"{found}: use the functions of mm_envs.tokenizers.rows, or vocabulary.eos"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from mm_envs.tokenizers import EOS as E, Vocabulary", {"EOS"}),
        ("from mm_envs.tokenizers.tokenizer import SPECIALS", {"SPECIALS"}),
        ("import mm_envs.tokenizers as t\nx = t.PAD", {"PAD"}),
        ("EOS = 'a'\nfrom elsewhere import PAD", set()),
    ],
)
def test_the_scan_finds_imports(source: str, names: set[str]) -> None:
    assert imported(source) == names
