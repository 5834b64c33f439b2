"""Where items come from: datasets that are pure functions of the index, and the vocabulary of their texts."""

from mm_envs.data.dataset import DATASETS, Dataset, make_dataset
from mm_envs.tokenizers import EOS, PAD, UNK, Vocabulary

__all__ = ["DATASETS", "EOS", "PAD", "UNK", "Dataset", "Vocabulary", "make_dataset"]
