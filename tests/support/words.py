"""Words that the project does not use, counted in the code, the docs and the tests of a checkout.

``python tests/support/words.py [ROOT]`` prints how often each occurs.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("mm_envs", "agents", "feedback", "benchmarks", "tests", "docs")
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")

# Not used anywhere, neither in names nor in sentences -> what is written instead.
WORDS = {
    "said|told": "info, message, label, choice: by meaning",
    "beside": "next to, and, with",
    "stands|stood": "is, refers to",
    "somebody|nobody|whoever|everybody": "the name of the role, or the passive",
    "yardsticks?": "baseline policy",
    "sights?": "perceived utility",
    "lens|lenses": "annotator bias",
    "strangers?": "untrusted input",
    "malformed": "fuzzing",
    "kills": "crash recovery",
    "optimisers?": "optimizer",
    "fine_tune|fine_tuned": "sft",
    "WordReader|WholeReader": "token-level, sequence-level answer encoder",
    "OtherPictures": "MismatchedReferences",
    "Asked": "QueryLog",
}
# Not used as names or parts of names in Python (as words of sentences they are fine) -> the name instead.
NAMES = {
    "bits": "hashes",
    "places?": "index, position, step: by meaning",
    "outside": "untrusted",
    "pulls?": "logit",
    "rounds": "active_learning",
    "judges?|judged|rater|raters": "feedback, judgement, annotator",
    "MOST|LEAST|FEWEST": "MAX, MIN",
}
_HERE = "words.py"


def files(root: Path) -> Iterator[Path]:
    """The files in which words are counted."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".py", ".md", ".html", ".jinja"} and path.name != _HERE:
                yield path
    yield from (root / page for page in PAGES if (root / page).is_file())


def found(path: Path) -> Iterator[tuple[int, str]]:
    """The words of one file: line and entry of the tables."""
    text = path.read_text(encoding="utf-8")
    for line, content in enumerate(text.splitlines(), 1):
        for entry in WORDS:
            pattern = rf"(?<![A-Za-z])(?:{entry})(?![A-Za-z])"
            yield from ((line, entry) for _ in re.finditer(pattern, content))
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                for entry in NAMES:
                    if any(re.fullmatch(entry, part) for part in token.string.split("_")):
                        yield token.start[0], entry


def main(root: Path) -> None:
    """Prints how often each word occurs, and the files that hold most of them."""
    words: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    for path in files(root):
        for _, entry in found(path):
            words[entry] += 1
            pages[str(path.relative_to(root))] += 1
    for entry, count in words.most_common():
        print(f"{count:6} {entry}")
    print(f"{sum(words.values()):6} in all")
    for name, count in pages.most_common(12):
        print(f"       {count:4} {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
