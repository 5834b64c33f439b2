"""``mm-envs bench people``: our metrics, learned rewards and learned trust beside judgements of real people.

Five sets of captions that people rated or compared, and votes on acted emotions. Every reward model is tested
on pictures of which it has seen no judgement (five folds by picture, three seeds); intervals are bootstraps
over pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.reports import Options, Report


def bench(options: Options, progress: Callable[[str], None]) -> Report:
    """Measures agreement with people on all sets.

    Args:
        options: Where the sets are; with ``quick`` a part of each, and one pass over the labels.
        progress: Told what is being done.
    """
    import numpy as np

    from benchmarks import human_judgements as human
    from benchmarks.people import captions, ceilings, emotions, report

    found = captions.measure(options, progress)
    progress("AudioCaps-Eval: who gave which of the four votes")
    pairs = human.fense(options.folder("fense_audiocaps_eval"), ties=True)
    places = ceilings.by_place(pairs, np.random.default_rng(0))
    progress("CREMA-D: whom to trust")
    heard = emotions.measure(options, progress)
    return report.report(found, places, heard)
