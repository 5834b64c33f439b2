"""What to try after a training that learned nothing."""

from __future__ import annotations

from agents.comparison import Comparison


def advice(comparison: Comparison, algo: str, demonstrations: bool) -> str | None:
    """One sentence if a trained policy is not better than the blind one; None if it is.

    It is better if the lower end of the interval of its utility lies above the mean utility of the blind
    policy.

    Args:
        comparison: The policy next to the baseline policies.
        algo: How it was trained.
        demonstrations: Whether it imitated good answers first.
    """
    evaluations = comparison.evaluations
    if "trained" not in evaluations or "blind" not in evaluations:
        return None
    trained, blind = evaluations["trained"].mean_utility, evaluations["blind"].mean_utility
    if trained.low > blind.value:
        return None
    cures = []
    if algo != "sft" and not demonstrations:
        cures.append("a warm start (--warm-start 256)")
    if algo.startswith("sb3-"):
        cures.append("a trainer of whole answers (--algo rloo)")
    cures += ["more --steps", "another --policy fusion= (mm-envs bench fusion compares them)"]
    return (
        f"the policy ended at a utility of {trained.value:.3f}, not above the {blind.value:.3f} of the "
        f"best policy that ignores pictures and sounds: try {', or '.join(cures)}"
    )
