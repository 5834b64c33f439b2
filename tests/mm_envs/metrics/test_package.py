"""The metrics by their names in the package."""

from __future__ import annotations

from mm_envs import metrics


def test_every_name_of_the_package_is_there() -> None:
    assert all(getattr(metrics, name).__name__ == name for name in metrics.__all__)
