"""Our own measurements, not installed: ``python -m benchmarks.experiments NAME`` runs one."""

from __future__ import annotations

# Name -> the experiment, as module:attribute.
EXPERIMENTS = {
    name: f"benchmarks.experiments.{name.replace('-', '_')}:EXPERIMENT"
    for name in (
        "crash-recovery",
        "fuzzing",
        "store-faults",
        "three-modalities",
        "real-sets",
        "captions",
        "people",
        "label-efficiency",
        "teachers",
        "later-policy",
        "reward-speed",
        "engine-speed",
        "agents-learning",
        "agents-speed",
        "agents-examined",
    )
}
