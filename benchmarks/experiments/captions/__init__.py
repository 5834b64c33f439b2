"""Agreement of text metrics with other implementations, their authors and people."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.experiment import Experiment, Finding, Grid
from benchmarks.experiments.captions import agreement, people
from benchmarks.experiments.captions.agreement import AUTHORS, EXAMPLE, TEXTS, implementations
from benchmarks.experiments.captions.people import SETS, judgements
from benchmarks.report import Table


def tables(findings: Mapping[str, list[Finding]]) -> list[Table]:
    """Agreement with implementations, and with people."""
    first, second = (
        [row for one in findings[name] for row in one.result] for name in ("implementations", "judgements")
    )
    return [agreement.table(first), people.table(second)]


EXPERIMENT = Experiment(
    "Agreement of the text metrics",
    "BLEU, ROUGE-L, CIDEr and CIDEr-D compared with sacrebleu, rouge-score, pycocoevalcap, nlg-eval and the "
    "scores of the authors of CIDEr (differences are absolute, sacrebleu from 0 to 100, CIDEr-D "
    "from 0 to 10, "
    "others from 0 to 1); and with people, in percent: rank and linear correlations, and "
    "accuracies on pairs.",
    (
        Grid(implementations, {"limit": 1000}, {"texts": (*TEXTS, EXAMPLE, AUTHORS)}, quick={"limit": 20}),
        Grid(judgements, {"limit": None}, {"set": SETS}, quick={"limit": 200}),
    ),
    tables,
)
