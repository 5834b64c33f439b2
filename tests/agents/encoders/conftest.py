"""A vision transformer that is small enough for tests."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from torchvision.models import list_models
from torchvision.models._api import register_model
from torchvision.models.vision_transformer import VisionTransformer

from agents.encoders import ENCODERS
from agents.encoders.backbones import BACKBONES, BackboneEncoder
from mm_envs.spaces import Image

NAME = "vit_tiny_32"


def build(weights: None = None, **arguments: Any) -> VisionTransformer:
    sizes = {"patch_size": 32, "num_layers": 3, "num_heads": 3, "hidden_dim": 48, "mlp_dim": 96}
    return VisionTransformer(**{"image_size": 224, **sizes, **arguments})


if NAME not in list_models():
    register_model(NAME)(build)


@pytest.fixture(autouse=True)
def tiny_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds it to the tables while a test runs."""
    monkeypatch.setitem(BACKBONES, NAME, BACKBONES["vit_b_32"])
    monkeypatch.setitem(ENCODERS[Image], NAME, partial(BackboneEncoder, name=NAME))
