"""Where the answers come from that people are asked about."""

from feedback.candidates.sampler import Sampler

__all__ = ["Sampler"]
