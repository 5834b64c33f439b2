"""Backbones against torchvision's own models, and weights from files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.vision_transformer import interpolate_embeddings
from torchvision.transforms import v2

from agents.encoders import make_encoder
from agents.encoders.adapters import trainable
from agents.encoders.backbones import BACKBONES, BackboneEncoder, _blocks, _size
from agents.encoders.weights import load_weights
from mm_envs.spaces import Image

PREPARE = v2.Compose(
    [
        v2.ToDtype(torch.float32, scale=True),
        v2.Resize([64, 64], antialias=True),
        v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def saved(path: Path, state: dict[str, Any]) -> Path:
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, str(path))
    else:
        torch.save(state, path)
    return path


def features_of(name: str, model: Any, pictures: Tensor) -> Tensor:
    """The last features that torchvision's model computes by itself, as tokens."""
    kept: list[Tensor] = []
    part = {"r": "layer4", "c": "features", "m": "features", "v": "encoder"}[name[0]]
    getattr(model, part).register_forward_hook(lambda module, given, made: kept.append(made))
    model(pictures)
    return kept[0][:, 1:] if name[0] == "v" else kept[0].flatten(2).transpose(1, 2)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("resnet18", ".safetensors"),
        ("convnext_tiny", ".pth"),
        ("mobilenet_v3_small", ".safetensors"),
        ("vit_tiny_32", ".pth"),
        pytest.param("vit_b_32", ".safetensors", marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_features_are_those_of_torchvision(name: str, ending: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sized = {"image_size": 64} if name[0] == "v" else {}
    model = get_model(name, weights=None, **sized).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 1.5)
    file = saved(tmp_path / f"weights{ending}", model.state_dict())
    pictures = torch.randint(0, 256, (2, 3, 80, 48), dtype=torch.uint8)
    encoder = make_encoder(Image(80, 48), name, weights=file, size=64)
    tokens = encoder(pictures).tokens
    wanted = features_of(name, model, PREPARE(pictures))
    torch.testing.assert_close(tokens, wanted, atol=1e-4 * float(wanted.abs().max()), rtol=1e-3)


@torch.no_grad()
def test_position_embeddings_of_another_size_are_interpolated(tmp_path: Path) -> None:
    state = get_model("vit_tiny_32", weights=None, image_size=96, num_classes=1).state_dict()
    file = saved(tmp_path / "weights.pth", state)
    encoder = BackboneEncoder(Image(64, 64), "vit_tiny_32", weights=file, size=64)
    wanted = interpolate_embeddings(64, 32, dict(state))["encoder.pos_embedding"]
    assert torch.equal(encoder.blocks()[0].positions, wanted)


DEEP = re.compile(r".*(101|152|base|large|_l_|_h_).*")


def test_position_embeddings_of_no_square_are_refused(tmp_path: Path) -> None:
    state = get_model("vit_tiny_32", weights=None, image_size=96, num_classes=1).state_dict()
    state["encoder.pos_embedding"] = torch.zeros(1, 8, 48)
    file = saved(tmp_path / "weights.pth", state)
    message = r"'encoder.pos_embedding' of shape \(1, 8, 48\) instead of \(1, 5, 48\)"
    with pytest.raises(ValueError, match=message):
        BackboneEncoder(Image(64, 64), "vit_tiny_32", weights=file, size=64)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if DEEP.fullmatch(name) else name for name in BACKBONES],
)
def test_every_name_makes_a_grid(name: str) -> None:
    with torch.device("meta"):
        parts = _blocks(name, _size(name, None))
        made = nn.Sequential(*parts)(torch.zeros(1, 3, 224, 224))
    cells = {"16": 14, "14": 16}.get(name.rpartition("_")[2], 7) if name[0] == "v" else 7
    assert made.shape[2:] == (cells, cells)


@pytest.mark.parametrize(
    ("sides", "size", "largest", "count"),
    [
        ((64, 64), None, None, 4),
        ((36, 64), None, None, 4),
        ((64, 64), 128, None, 16),
        ((64, 64), 224, 4, 16),
    ],
)
def test_the_size_and_the_largest_grid_decide_on_the_number_of_tokens(
    sides: tuple[int, int], size: int | None, largest: int | None, count: int
) -> None:
    encoder = BackboneEncoder(Image(*sides), "mobilenet_v3_small", size=size, largest=largest)
    pictures = torch.randint(0, 256, (2, 3, *sides), dtype=torch.uint8)
    assert encoder.count == count
    assert encoder(pictures).tokens.shape == (2, count, encoder.width)


def test_grey_pictures_are_repeated() -> None:
    grey = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    colour = BackboneEncoder(Image(64, 64), "resnet18")(grey.expand(-1, 3, -1, -1))
    single = BackboneEncoder(Image(64, 64, channels=1), "resnet18")(grey)
    assert torch.equal(colour.tokens, single.tokens)


def test_random_weights_depend_on_the_seed_alone() -> None:
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = BackboneEncoder(Image(64, 64), "resnet18")(pictures).tokens
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(BackboneEncoder(Image(64, 64), "resnet18")(pictures).tokens, first)
    assert not torch.equal(BackboneEncoder(Image(64, 64), "resnet18", seed=1)(pictures).tokens, first)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_large"])
def test_random_features_are_of_moderate_size_and_differ(name: str) -> None:
    pictures = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    tokens = BackboneEncoder(Image(64, 64), name)(pictures).tokens
    assert 0.1 < tokens.std() < 100
    assert tokens.std(0).mean() > 0.1 * tokens.std()


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [one for one in module.modules() if isinstance(one, nn.BatchNorm2d)]


def test_batch_norms_use_running_statistics_by_default() -> None:
    encoder = BackboneEncoder(Image(64, 64), "resnet18")
    assert encoder.training
    assert not any(norm.training for norm in norms(encoder))
    encoder.train()
    assert not any(norm.training for norm in norms(encoder))


def test_frozen_batch_norms_stay_in_evaluation_mode() -> None:
    encoder = BackboneEncoder(Image(64, 64), "resnet18", batch_statistics=True)
    outer = nn.Sequential(encoder)
    assert all(norm.training for norm in norms(outer))
    trainable(encoder, "last:2")
    for mode in (encoder, outer.eval().train()):
        trained = {norm for block in encoder.blocks()[-2:] for norm in norms(block)}
        assert {norm for norm in norms(mode) if norm.training} == trained
    trainable(encoder, "all")
    assert all(norm.training for norm in norms(outer))
    trainable(encoder, "none")
    frozen = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.train()(torch.randint(0, 256, (2, 3, 64, 64)))
    assert all(torch.equal(value, frozen[key]) for key, value in encoder.state_dict().items())


def test_sizes_that_do_not_suit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size=100 is not a multiple of the 32 pixels .*: give 96"):
        BackboneEncoder(Image(64, 64), "vit_b_32", size=100)
    with pytest.raises(ValueError, match="size=8 is below 32"):
        BackboneEncoder(Image(64, 64), "resnet18", size=8)
    with pytest.raises(ValueError, match="name='resnet19' is not one of resnet18"):
        BackboneEncoder(Image(64, 64), "resnet19")


def without(state: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: without(state, "conv1.weight"), "has no 'conv1.weight': give the state dict of"),
        (lambda state: {**state, "extra": torch.zeros(1)}, "has 'extra', which resnet18 has not: give"),
        (
            lambda state: {**state, "bn1.weight": torch.zeros(3)},
            r"has 'bn1.weight' of shape \(3,\) instead of \(64,\): give",
        ),
        (lambda state: {"state_dict": state}, "holds a dict as 'state_dict': give"),
        (lambda state: [1, 2], "holds a list: give"),
    ],
)
def test_a_wrong_state_dict_is_refused(change: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    state = get_model("resnet18", weights=None, num_classes=1).state_dict()
    file = tmp_path / "weights.pth"
    torch.save(change(dict(state)), file)
    with pytest.raises(ValueError, match=f"weights='.*weights.pth' {message}"):
        BackboneEncoder(Image(64, 64), "resnet18", weights=file)


class Code:
    """What unpickling must not run."""

    def __reduce__(self) -> Any:
        return (print, ("run",))


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 no archive", b"\x80\x02garbage"])
def test_a_damaged_file_is_refused(ending: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"weights{ending}"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights='.*' cannot be read \(.*\): give a local .safetensors"):
        load_weights(file, "resnet18")


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"conv1.weight": Code()}, file)
    with pytest.raises(ValueError, match=r"weights='.*' cannot be read"):
        load_weights(file, "resnet18")
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights='.*none.pth' is not a file: give a local .* resnet18"):
        BackboneEncoder(Image(64, 64), "resnet18", weights=tmp_path / "none.pth")
