"""Pictures: the trunks of torchvision's classification models, with weights from a local file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.encoders.attention import SelfAttention
from agents.encoders.encoded import Encoded, Encoder, grid
from agents.encoders.weights import fit_weights, load_weights
from mm_envs.names import at_least, check_one_of
from mm_envs.spaces import Image

# Mean and deviation of ImageNet's pixels, which torchvision's weights expect (He et al., 2015).
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TRANSFORMER_SIZE = 224
_CALIBRATION = (8, 3, 64, 64)


@dataclass(frozen=True)
class Family:
    """Models of one architecture.

    Attributes:
        head: What the keys of the classifier begin with.
        blocks: The parts of a model in order; together they make a grid (n, d, h, w) of pictures.
    """

    head: str
    blocks: Callable[[Any], list[nn.Module]]


class BackboneEncoder(Encoder):
    """Encodes an ``Image`` entry by a classification model of torchvision without its classifier.

    A token for each cell of the last grid; of vision transformers the patch tokens, without the class token.
    Pictures are resized and normalised on their device; grey ones are repeated as three channels. Batch norms
    use their running statistics, so that no row depends on another one. Stochastic depth and dropout are off.

    The families are ResNet (He et al., 2015, arXiv 1512.03385), ConvNeXt (Liu et al., 2022, arXiv
    2201.03545), vision transformers (Dosovitskiy et al., 2020, arXiv 2010.11929) and MobileNetV3 (Howard et
    al., 2019, arXiv 1905.02244).

    Args:
        space: The space of the entry.
        name: The name of a model, a key of ``BACKBONES``.
        weights: A local file of the state dict of that model: safetensors, or .pth of tensors alone. None:
            random weights; running statistics are then those of noise.
        size: Pictures are resized to so many pixels along both sides. None: as they are, and 224 for vision
            transformers, whose size is a multiple of the patch.
        largest: Grids of more than that many cells along an axis are averaged. None: all cells.
        seed: Of random weights; the global generator is left as it is.
        batch_statistics: Whether batch norms that are trained use the statistics of the batch in training
            mode. Then a row depends on the others.

    Raises:
        ValueError: The name is unknown, the size does not suit the model, or the file does not.

    Example:
        >>> encoder = BackboneEncoder(Image(64, 64), "resnet18")
        >>> encoded = encoder(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
        >>> encoded.tokens.shape, encoded.positions.shape
        (torch.Size([2, 4, 512]), torch.Size([4, 2]))
    """

    scale: Tensor
    shift: Tensor

    keeps_statistics = True

    def __init__(
        self,
        space: Image,
        name: str,
        weights: str | os.PathLike[str] | None = None,
        size: int | None = None,
        largest: int | None = None,
        seed: int = 0,
        batch_statistics: bool = False,
    ) -> None:
        check_one_of("name", name, BACKBONES)
        size = _size(name, size)
        sides = space.shape[1:] if size is None else (size, size)
        with torch.device("meta"):
            width, *shape = nn.Sequential(*_blocks(name, size))(torch.zeros(1, 3, *sides)).shape[1:]
        rows, columns = shape if largest is None else (min(side, largest) for side in shape)
        positions = grid(rows, columns)
        super().__init__(width, len(positions), positions)
        self.size, self.batch_statistics = size, batch_statistics
        self.trunk = nn.Sequential(*_seeded(name, size, weights, seed))
        whole = [rows, columns] == shape
        self.pool = nn.Identity() if whole else nn.AdaptiveAvgPool2d((rows, columns))
        mean, deviation = torch.tensor(_MEAN).view(3, 1, 1), torch.tensor(_DEVIATION).view(3, 1, 1)
        self.register_buffer("scale", 1 / (255.0 * deviation), persistent=False)
        self.register_buffer("shift", -mean / deviation, persistent=False)
        if weights is None:
            _calibrate(self.trunk, seed)
        self.train()

    def forward(self, image: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of pictures (n, channels, height, width), uint8 or float, 0 to 255."""
        cells: Tensor = self.pool(self.trunk(self.prepared(image)))
        return Encoded(cells.flatten(2).transpose(1, 2).contiguous(), None, self.positions)

    def prepared(self, image: Tensor) -> Tensor:
        """Pictures as the model expects them: (n, 3, height, width) float32, resized and normalised."""
        pixels = image.to(torch.float32)
        if self.size is not None and pixels.shape[2:] != (self.size, self.size):
            from torchvision.transforms.v2 import functional

            pixels = functional.resize(pixels, [self.size, self.size], antialias=True)
        normalised = torch.addcmul(self.shift, pixels, self.scale)
        return normalised.contiguous(memory_format=torch.channels_last)

    def blocks(self) -> list[nn.Module]:
        """The stem, then residual blocks, downsampling layers and transformer layers in order."""
        return [block for block in self.trunk if next(block.parameters(), None) is not None]


def _size(name: str, size: int | None) -> int | None:
    """The size to which pictures are resized."""
    if size is not None:
        at_least("size", size, 32, f"cells of {name} are 32 pixels wide")
    if not name.startswith("vit_"):
        return size
    size, patch = size or _TRANSFORMER_SIZE, int(name.rpartition("_")[2])
    if size % patch:
        least = size - size % patch
        raise ValueError(
            f"size={size} is not a multiple of the {patch} pixels of a patch of {name}: give {least}"
        )
    return size


def _seeded(
    name: str, size: int | None, weights: str | os.PathLike[str] | None, seed: int
) -> list[nn.Module]:
    # torchvision draws weights from the global generator of the CPU, which is put back.
    before = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        return _blocks(name, size, weights)
    finally:
        torch.set_rng_state(before)


def _blocks(name: str, size: int | None, weights: str | os.PathLike[str] | None = None) -> list[nn.Module]:
    """The parts of a model, with random weights or those of a file."""
    from torchvision.models import get_model

    arguments: dict[str, Any] = {"weights": None, "num_classes": 1}
    if name.startswith("vit_"):
        arguments["image_size"] = size
    elif name.startswith("convnext_"):
        arguments["stochastic_depth_prob"] = 0.0
    model, family = get_model(name, **arguments), BACKBONES[name]
    if weights is not None:
        state = load_weights(weights, name)
        if name.startswith("vit_"):
            _interpolate(state, model)
        fit_weights(model, state, weights, name, family.head)
    return family.blocks(model)


def _interpolate(state: dict[str, Tensor], model: Any) -> None:
    """Interpolates the position embeddings of a state dict, if they are those of a square of another size."""
    from torchvision.models.vision_transformer import interpolate_embeddings

    embeddings = state.get("encoder.pos_embedding")
    if embeddings is None or embeddings.ndim != 3 or len(embeddings) != 1:
        return
    patches = embeddings.shape[1] - 1
    if patches > 0 and math.isqrt(patches) ** 2 == patches:
        state.update(interpolate_embeddings(model.image_size, model.patch_size, state))


def _calibrate(trunk: nn.Module, seed: int) -> None:
    """Sets the running statistics of batch norms to those of a batch of noise.

    Without any, the activations of random residual networks grow with every block.
    """
    norms = [one for one in trunk.modules() if isinstance(one, nn.BatchNorm2d)]
    # Modules without memory have no statistics.
    if not norms or norms[0].weight.is_meta:
        return
    noise = torch.randn(_CALIBRATION, generator=torch.Generator().manual_seed(seed), device="cpu")
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        trunk.train()(noise)
    for norm, before in zip(norms, momentum, strict=True):
        norm.momentum = before


def _resnet_blocks(model: Any) -> list[nn.Module]:
    stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
    return [stem, *model.layer1, *model.layer2, *model.layer3, *model.layer4]


def _convnext_blocks(model: Any) -> list[nn.Module]:
    # Stem, stage, downsampling, stage, ...: the blocks of stages one by one.
    stem, *rest = model.features
    blocks = [stem]
    for index, part in enumerate(rest):
        blocks += [part] if index % 2 else list(part)
    return blocks


def _mobilenet_blocks(model: Any) -> list[nn.Module]:
    return list(model.features)


def _transformer_blocks(model: Any) -> list[nn.Module]:
    layers = list(model.encoder.layers)
    for layer in layers:
        layer.self_attention = _Attention(layer.self_attention)
    rows = model.image_size // model.patch_size
    last = nn.Sequential(layers[-1], model.encoder.ln)
    return [_PatchEmbedding(model), *layers[:-1], last, _Grid(rows)]


class _PatchEmbedding(nn.Module):
    """The class token and patches of a vision transformer with their position embeddings."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.patches, self.class_token = model.conv_proj, model.class_token
        self.positions = model.encoder.pos_embedding

    def forward(self, pictures: Tensor) -> Tensor:
        """Tokens (n, 1 + patches, d) of pictures (n, 3, height, width)."""
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens: Tensor = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], 1)
        embedded: Tensor = tokens + self.positions
        return embedded


class _Grid(nn.Module):
    """The grid (n, d, rows, columns) of the tokens (n, 1 + patches, d) of a vision transformer."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, tokens: Tensor) -> Tensor:
        """The patch tokens as a grid."""
        n, _, width = tokens.shape
        return tokens[:, 1:].transpose(1, 2).reshape(n, width, self.rows, -1)


class _Attention(SelfAttention):
    """Self-attention with the weights and the interface of ``nn.MultiheadAttention``.

    That class keeps its projections as bare parameters, which low-rank adapters cannot be attached to.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__(attention.embed_dim, attention.num_heads)
        self.projections.weight, self.projections.bias = attention.in_proj_weight, attention.in_proj_bias
        self.output.weight, self.output.bias = attention.out_proj.weight, attention.out_proj.bias

    def forward(  # type: ignore[override]
        self, tokens: Tensor, key: Tensor, value: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, None]:
        """Tokens (n, s, d) that attend to each other, and no weights."""
        return super().forward(tokens), None


_RESNET = Family("fc.", _resnet_blocks)
_CONVNEXT = Family("classifier.", _convnext_blocks)
_TRANSFORMER = Family("heads.", _transformer_blocks)
_MOBILENET = Family("classifier.", _mobilenet_blocks)

BACKBONES: dict[str, Family] = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _RESNET),
    **dict.fromkeys(("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"), _RESNET),
    **dict.fromkeys(("wide_resnet50_2", "wide_resnet101_2"), _RESNET),
    **dict.fromkeys(("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"), _CONVNEXT),
    **dict.fromkeys(("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"), _TRANSFORMER),
    **dict.fromkeys(("mobilenet_v3_small", "mobilenet_v3_large"), _MOBILENET),
}
"""Families by the names of torchvision."""
