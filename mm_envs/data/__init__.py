"""Datasets: items as pure functions of their index."""

from mm_envs.data.dataset import Dataset, make_dataset

__all__ = ["Dataset", "make_dataset"]
