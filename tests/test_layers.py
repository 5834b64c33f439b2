"""Imports run downwards and never in a circle. The order of the layers is in pyproject.toml."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("mm_envs", "agents", "feedback", "benchmarks")


def modules() -> dict[str, Path]:
    """Every module by its name."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return dict(zip((name.removesuffix(".__init__") for name in names), files, strict=True))


def imported(file: Path, known: Mapping[str, object]) -> set[str]:
    """The modules that a file imports, in functions and for type checking, too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = [f"{node.module}.{name.name}" for name in node.names]
            found += [name if name in known else node.module for name in submodules]
    return {name for name in found if name in known}


def circles(imports: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Modules that import each other (Tarjan, 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in sorted(imports[module] - {module}):
            if other not in number:
                yield from visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            found = stack[stack.index(module) :]
            del stack[-len(found) :]
            if len(found) > 1:
                yield sorted(found)

    for module in imports:
        if module not in number:
            yield from visit(module)


def test_circles_are_found() -> None:
    imports = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"e"}, "f": {"a", "g"}, "g": {"f"}}
    assert sorted(circles(imports)) == [["a", "b", "c"], ["f", "g"]]


def test_no_modules_import_each_other() -> None:
    known = modules()
    assert list(circles({name: imported(file, known) for name, file in known.items()})) == []


def test_every_child_of_mm_envs_has_its_layer() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.findall(r"\bmm_envs\.(\w+)", text.partition("\nlayers = [")[2].partition("\n]")[0])
    children = {name.split(".")[1] for name in modules() if name.startswith("mm_envs.")}
    assert children <= set(listed)
    assert len(listed) == len(set(listed))
    assert "ignore_imports" not in text
