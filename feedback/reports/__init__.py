"""Reports on feedback: reward models fitted to a store, and what its annotators and models are worth."""

from feedback.reports.collected import collected
from feedback.reports.findings import Findings, findings
from feedback.reports.fit import LOSSES, fit_collected, held_out_items
from feedback.reports.page import page

__all__ = [
    "LOSSES",
    "Findings",
    "collected",
    "findings",
    "fit_collected",
    "held_out_items",
    "page",
]
