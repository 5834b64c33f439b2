"""The table of fusions. A new one is one file and one line here."""

from __future__ import annotations

from agents.fusion.attention import Attention
from agents.fusion.concat import Concatenation
from agents.fusion.cross_attention import CrossAttention
from agents.fusion.film import FiLM
from agents.fusion.fusion import Fusion
from agents.fusion.gated import Gated
from agents.fusion.graph import Graph
from agents.fusion.hybrid import Hybrid
from agents.fusion.late import Late
from agents.fusion.mean import Mean
from agents.fusion.sequence import Sequence
from agents.fusion.weighted_sum import WeightedSum
from agents.fusion.word_patch import WordPatch

FUSIONS: dict[str, type[Fusion]] = {
    "concat": Concatenation,
    "attention": Attention,
    "word_patch": WordPatch,
    "mean": Mean,
    "weighted_sum": WeightedSum,
    "late": Late,
    "gated": Gated,
    "film": FiLM,
    "cross_attention": CrossAttention,
    "sequence": Sequence,
    "graph": Graph,
    "hybrid": Hybrid,
}
