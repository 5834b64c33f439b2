"""``mm-envs docs``: write the pages of docs/ that are generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mm_envs.cli.output import console, print_json
from mm_envs.cli.threads import torch_threads


@dataclass(frozen=True)
class Docs:
    """Write the documentation pages of all environments, with pictures of real episodes.

    Attributes:
        out: The folder to write into.
        pictures: Whether to draw the pictures as well.
        json: Print JSON.
    """

    out: Path = Path("docs")
    pictures: bool = True
    json: bool = False

    def run(self) -> int:
        """Writes the pages."""
        from mm_envs.documentation.pages import baselines_of, pages
        from mm_envs.documentation.pictures import write_pictures

        with torch_threads(1):
            texts = pages(baselines_of)
            pictures = write_pictures(self.out / "pictures") if self.pictures else []
        for name, text in texts.items():
            path = self.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if self.json:
            print_json({"pages": list(texts), "pictures": [str(path) for path in pictures]})
        else:
            console().print(f"{len(texts)} pages and {len(pictures)} pictures in [cyan]{self.out}[/]")
        return 0
