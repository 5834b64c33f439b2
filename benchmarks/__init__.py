"""Benchmarks that users run (``mm-envs bench``); ``benchmarks.experiments`` holds our own measurements."""

from __future__ import annotations

# Name -> the experiment, as module:attribute.
BENCHMARKS = {
    "throughput": "benchmarks.throughput:EXPERIMENT",
    "agents": "benchmarks.agents:EXPERIMENT",
    "reward-models": "benchmarks.reward_models:EXPERIMENT",
    "fusion": "benchmarks.fusion:EXPERIMENT",
}
