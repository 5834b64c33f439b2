"""Hooks of MkDocs: pages of the API, pages in the root of the repository, folders in the navigation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parents[1]
PACKAGES = ("mm_envs", "agents", "feedback", "benchmarks")
# The command line documents itself with --help; the experiments are not installed.
LEFT_OUT = ("mm_envs/cli", "benchmarks/experiments")
ROOT_PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


def api_pages() -> dict[str, str]:
    """One page for each package: its docstring, then its public modules. Path within docs/ -> Markdown."""
    pages = {"api/README.md": ""}
    for init in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")):
        folder = init.parent.relative_to(ROOT)
        if folder.as_posix().startswith(LEFT_OUT):
            continue
        name = ".".join(folder.parts)
        parts = [
            f"# {name}",
            f"::: {name}\n    options:\n      members: false\n      show_root_heading: false",
        ]
        parts += [f"::: {name}.{path.stem}" for path in sorted(init.parent.glob("[!_]*.py"))]
        pages[f"api/{name}.md"] = "\n\n".join(parts) + "\n"
    links = [f"- [{Path(page).stem}]({Path(page).name})" for page in pages if page != "api/README.md"]
    pages["api/README.md"] = "# API\n\n" + "\n".join(links) + "\n"
    return pages


def on_config(config: MkDocsConfig) -> None:
    """Replaces folders of the navigation by their pages."""
    config.nav = [_section(entry) for entry in config.nav or []]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the generated pages."""
    styles = HtmlFormatter(style="default").get_style_defs(".highlight")
    files.append(File.generated(config, "code.css", content=styles))
    made = {page.lower(): (ROOT / page).read_text(encoding="utf-8") for page in ROOT_PAGES}
    for path, text in {**made, **api_pages()}.items():
        files.append(File.generated(config, path, content=text))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links between the root and docs/ as links within the site."""
    if page.file.src_uri in {name.lower() for name in ROOT_PAGES}:
        return markdown.replace("](docs/", "](")
    up = "|".join(re.escape(name) for name in ROOT_PAGES)
    return re.sub(rf"\]\(((?:\.\./)+)({up})", lambda found: f"]({found[1][3:]}{found[2].lower()}", markdown)


class Examples(griffe.Extension):
    """Reads the section ``Example:`` of a docstring as ``Examples:``, the name that the parser knows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Renames the section."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub("^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


def _section(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, target),) = entry.items()
    if isinstance(target, list):
        return {title: [_section(one) for one in target]}
    return {title: list(_pages(target))} if target.endswith("/") else entry


def _pages(folder: str) -> Iterator[Any]:
    yield {"Overview": f"{folder}README.md"}
    if folder == "api/":
        yield from ({Path(page).stem: page} for page in api_pages() if page != "api/README.md")
    else:
        pages = sorted((ROOT / "docs" / folder).glob("*.md"))
        yield from (f"{folder}{page.name}" for page in pages if page.name != "README.md")
