"""Where items come from: datasets that are pure functions of the index, and the vocabulary of their texts."""

from mm_envs.data.dataset import DATASETS, Dataset, make_dataset
from mm_envs.tokenizers import Vocabulary

__all__ = ["DATASETS", "Dataset", "Vocabulary", "make_dataset"]
