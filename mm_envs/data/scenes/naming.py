"""Texts that name one object of a scene, for tasks about the named object."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from mm_envs.data.scenes.layout import SHAPES, SceneConfig, SceneGraph
from mm_envs.data.scenes.questions import pick
from mm_envs.random import fold
from mm_envs.tokenizers import Vocabulary, pad_to

NAME_LENGTH = 2


@lru_cache(maxsize=64)
def name_vocabulary(config: SceneConfig) -> Vocabulary:
    """Returns the words of names: quadrants and shapes."""
    return Vocabulary.of(["top", "bottom", "left", "right", *SHAPES[: config.shapes]])


def name_by_quadrant(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> tuple[Tensor, Tensor]:
    """Names a random object of each of n scenes by its quadrant, as in "top left".

    Returns:
        The name, int64 of shape (n, 2), and the number of the object, int64 of shape (n,).

    Example:
        >>> from mm_envs.data.scenes.layout import decode
        >>> config = SceneConfig()
        >>> text, index = name_by_quadrant(decode(config, torch.tensor([0])), config, torch.tensor([3]))
        >>> name_vocabulary(config).decode(text[0])
        'top right'
    """
    ids = name_vocabulary(config).ids
    index = pick(graph.present, hashes)
    quadrant = graph.quadrant.gather(1, index[:, None])[:, 0]
    return torch.stack([(quadrant >> 1) + ids["top"], (quadrant & 1) + ids["left"]], 1), index


def name_by_shape(graph: SceneGraph, config: SceneConfig, hashes: Tensor) -> tuple[Tensor, Tensor]:
    """Names a random object that is the only one of its shape, as in "circle"; without one, by quadrant."""
    alike = (graph.shape[:, :, None] == graph.shape[:, None, :]) & graph.present[:, None, :]
    alone = graph.present & (alike.sum(2) == 1)
    index = pick(alone, hashes)
    shape = graph.shape.gather(1, index[:, None])[:, 0] + name_vocabulary(config).ids[SHAPES[0]]
    words, other = name_by_quadrant(graph, config, fold(hashes, 1))
    named = alone.any(1)
    text = torch.where(named[:, None], pad_to(shape[:, None], NAME_LENGTH), words)
    return text, torch.where(named, index, other)
