"""Explaining: what a policy or a reward model looks at, and what changes its answer."""

from agents.explaining.attention import AttentionMap, attention_of
from agents.explaining.attribution import Attribution, attribute
from agents.explaining.counterfactual import Swaps, counterfactuals
from agents.explaining.grounding import Grounding, attention_on_objects, grounding
from agents.explaining.page import page
from agents.explaining.report import Explanation, explain
from agents.explaining.shapley import shapley_values
from agents.explaining.values import probability_of, utility_of

__all__ = [
    "AttentionMap",
    "Attribution",
    "Explanation",
    "Grounding",
    "Swaps",
    "attention_of",
    "attention_on_objects",
    "attribute",
    "counterfactuals",
    "explain",
    "grounding",
    "page",
    "probability_of",
    "shapley_values",
    "utility_of",
]
