"""Labelling as a service: queries are leased to annotators, who label them and may change their minds."""

from feedback.labelling.assignments import Assignment
from feedback.labelling.service import Labelling, Progress
from feedback.preferences.query import Query

__all__ = ["Assignment", "Labelling", "Progress", "Query"]
