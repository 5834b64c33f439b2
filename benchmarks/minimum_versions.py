"""Prints the lowest versions that pyproject.toml names, as requirements.

python benchmarks/minimum_versions.py > requirements.txt
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def lowest(text: str) -> list[str]:
    r"""``name==version`` for each dependency of a pyproject.toml and of its extras.

    Example:
        >>> lowest('[project]\ndependencies = [\n    "torch>=2.8",\n]\n')
        ['torch==2.8.*']
    """
    lists = r"^(?:dependencies|cli|train|feedback|hf) = \[(.*?)^\]"
    block = "".join(re.findall(lists, text, re.MULTILINE | re.DOTALL))
    if not block:
        raise ValueError("no dependencies in this file: give pyproject.toml")
    return [f"{name}=={version}.*" for name, version in re.findall(r'"([\w-]+)>=([\d.]+)"', block)]


if __name__ == "__main__":
    print("\n".join(lowest(Path(sys.argv[1] if len(sys.argv) > 1 else "pyproject.toml").read_text())))
