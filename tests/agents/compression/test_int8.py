"""Int8 layers: close to the layers that they are made of, row by row, and stored without loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from agents.compression import int8
from agents.compression.int8 import Int8GRU, Int8Linear, is_quantised, parameters, quantise
from agents.examples import Examples
from agents.heads import GREEDY
from agents.policy import ResponsePolicy
from mm_envs.tasks import make_task


def linear(inputs: int = 64, outputs: int = 16, rows: int = 8) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs).requires_grad_(False), torch.randn(rows, inputs)


def test_weights_are_within_half_a_level() -> None:
    layer, _ = linear()
    made = Int8Linear(layer)
    away = (made.values * made.scale[:, None] - layer.weight).abs()
    assert bool((away <= made.scale[:, None] / 2 * 1.0001).all())
    assert int(made.values.abs().max()) == 127


def test_outputs_are_close() -> None:
    layer, x = linear()
    expected = layer(x)
    assert float((Int8Linear(layer)(x) - expected).norm() / expected.norm()) < 0.02


def test_a_row_depends_on_itself_alone() -> None:
    layer, x = linear()
    made = Int8Linear(layer)
    x[3] *= 1000
    assert torch.equal(made(x)[:3], made(x[:3]))
    assert torch.equal(made(x[None].expand(2, -1, -1))[1], made(x))


def test_a_row_of_zeros_gives_the_bias() -> None:
    layer, _ = linear()
    assert torch.equal(Int8Linear(layer)(torch.zeros(1, 64))[0], layer.bias)


def test_the_kernel_and_the_float_product_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = linear(inputs=2000)
    kernel = Int8Linear(layer)(x)
    monkeypatch.setattr(int8, "_pack", lambda *_: False)
    torch.testing.assert_close(Int8Linear(layer)(x), kernel, rtol=1e-5, atol=1e-5)


def test_inputs_never_overflow_the_kernel() -> None:
    """The largest weights times the largest inputs, which saturate kernels of 16 bits at 8 bits each."""
    layer, _ = linear()
    layer.weight.fill_(1.0)
    x = torch.ones(2, 64)
    torch.testing.assert_close(Int8Linear(layer)(x), layer(x), rtol=1e-5, atol=1e-5)


def test_a_gru_is_close() -> None:
    torch.manual_seed(0)
    gru = nn.GRU(8, 16, batch_first=True).requires_grad_(False)
    x, state = torch.randn(4, 6, 8), torch.randn(1, 4, 16)
    for given in (None, state):
        (expected, last), (outputs, found) = gru(x, given), Int8GRU(gru)(x, given)
        assert float((outputs - expected).abs().max()) < 0.05
        assert found.shape == last.shape
        assert torch.equal(found[0], outputs[:, -1])


def test_a_gru_of_two_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="one layer and direction"):
        Int8GRU(nn.GRU(4, 4, num_layers=2, batch_first=True))


def test_weights_that_are_loaded_are_used() -> None:
    layer, x = linear()
    made, other = Int8Linear(layer), Int8Linear(nn.Linear(64, 16))
    other(x)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(x), made(x))
    assert torch.equal(copy.deepcopy(made)(x), made(x))


def test_parameters_count_each_number_once() -> None:
    layer, _ = linear()
    assert parameters(Int8Linear(layer)) == parameters(layer) + 16


@pytest.mark.parametrize(
    ("name", "arguments", "policy"),
    [
        ("classify", {"dataset": "digits"}, {}),
        ("caption", {}, {}),
        ("vqa", {"answer": "tokens"}, {"fusion": "attention", "decoder": "transformer"}),
        ("vqa", {}, {"fusion": "word_patch"}),
        ("retrieve", {}, {}),
        ("ground", {}, {}),
    ],
)
def test_policies_of_every_kind_stay_close(
    name: str, arguments: dict[str, Any], policy: dict[str, Any]
) -> None:
    task = make_task(name, **arguments)
    before = ResponsePolicy(task, 32, 32, **policy)
    made = quantise(before)
    assert is_quantised(made)
    assert not is_quantised(before)
    assert not any(type(one) in (nn.Linear, nn.GRU) for one in made.modules())
    contexts = Examples(task).contexts(0, 8)
    with torch.no_grad():
        one, other = before.encode(contexts), made.encode(contexts)
        answers = before.sample(one, torch.arange(8), GREEDY)
        apart = before.distribution(one, *answers).kl(made.distribution(other, *answers))
    assert float(apart.sum(1).mean()) < 0.01
