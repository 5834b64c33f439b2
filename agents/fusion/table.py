"""The table of fusions. A new one is one file and one line here."""

from __future__ import annotations

from agents.fusion.attention import Attention
from agents.fusion.concat import Concatenation
from agents.fusion.fusion import Fusion
from agents.fusion.word_patch import WordPatch

FUSIONS: dict[str, type[Fusion]] = {
    "concat": Concatenation,
    "attention": Attention,
    "word_patch": WordPatch,
}
