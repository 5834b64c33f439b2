"""Tables and docstrings as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Example):")
_ENTRY = re.compile(r"    ([\w, *]+): (.*)")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table.

    Example:
        >>> print(table(("a", "b"), [("1", "x | y")]))
        | a | b |
        |---|---|
        | 1 | x \| y |
    """
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    shown = [f"| {' | '.join(line)} |" for line in lines]
    shown[1] = shown[1].replace(" ", "")
    return "\n".join(shown)


def markdown(docstring: str) -> str:
    r"""A Google-style docstring as Markdown: sections as bold words, their entries as lists.

    Example:
        >>> print(markdown("Does it.\n\nArgs:\n    a: First\n        and more.\n    b: Second."))
        Does it.
        <BLANKLINE>
        **Args**
        <BLANKLINE>
        - `a`: First and more.
        - `b`: Second.
    """
    paragraphs: list[str] = []
    section = ""
    for line in docstring.splitlines():
        if found := _SECTION.fullmatch(line):
            section = found[1]
            paragraphs += [f"**{section}**", "", *(["```python"] if section == "Example" else [])]
        elif section == "Example":
            paragraphs.append(line.removeprefix("    "))
        elif section in ("Args", "Attributes", "Raises") and (entry := _ENTRY.match(line)):
            paragraphs.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and line.strip() and paragraphs[-1].startswith("- "):
            paragraphs[-1] += f" {line.strip()}"
        else:
            paragraphs.append(line.strip() if section else line)
    text = "\n".join(paragraphs).rstrip()
    return f"{text}\n```" if section == "Example" else text
