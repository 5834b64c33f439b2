"""Fusions: tokens of all entries of an observation to one vector and to fused tokens."""

from agents.fusion.encoder import FusedEncoder
from agents.fusion.fusion import Fused, Fusion
from agents.fusion.table import FUSIONS

__all__ = ["FUSIONS", "Fused", "FusedEncoder", "Fusion"]
