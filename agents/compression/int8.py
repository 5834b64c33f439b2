"""Dynamic quantisation to int8: weights once, inputs row by row when they come.

Torch's own ``torch.ao.quantization.quantize_dynamic`` is deprecated and quantises a whole batch with one
scale, so that an answer would depend on the other rows. These layers keep plain int8 tensors, which a file of
safetensors holds, and give each row its own scale.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from agents.context import Context
from agents.encoders.adapters import merge_lora
from agents.heads.head import PooledLinear

M = TypeVar("M", bound=nn.Module)

_WEIGHT_LEVELS = 127
# 7 bits, since the AVX2 kernel adds two products in 16 bits: 2 * 127 * 127 fit.
_INPUT_LEVELS = 63
_SMALLEST = 1e-12


class Int8Linear(nn.Module):
    """A linear layer with int8 weights: ``y = r s (q(x / r) W) + b``.

    ``s`` is the scale of each output (symmetric, per channel) and ``r`` that of each input row, its largest
    absolute number over 63 (dynamic). The integer product uses the FBGEMM kernel of torch where there is one,
    and else float32, which gives the same sums up to 2,097 inputs.

    Args:
        layer: The layer, which is not changed.

    Attributes:
        values: Weights, (outputs, inputs) int8, -127 to 127.
        scale: Of each output, (outputs,) float32.

    Example:
        >>> layer = nn.Linear(16, 4)
        >>> x = torch.rand(8, 16)
        >>> bool((Int8Linear(layer)(x) - layer(x)).abs().max() < 0.05)
        True
    """

    values: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._quantise(layer.weight.detach(), layer.bias)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Int8Linear:
        """A layer of a weight (outputs, inputs) and a bias (outputs,)."""
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._quantise(weight.detach(), bias)
        return layer

    def _quantise(self, weight: Tensor, bias: Tensor | None) -> None:
        scale = weight.abs().amax(1).clamp(min=_SMALLEST) / _WEIGHT_LEVELS
        self.register_buffer("values", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self._packed: Any = None
        self.register_load_state_dict_post_hook(_forget_packed)  # type: ignore[no-untyped-call]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (..., outputs) of inputs (..., inputs)."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        reach = rows.abs().amax(1, keepdim=True).clamp(min=_SMALLEST) / _INPUT_LEVELS
        outputs = self._product(rows / reach) * reach
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs.view(*inputs.shape[:-1], -1)

    def _product(self, rows: Tensor) -> Tensor:
        """``s W round(x)`` of rows from -63 to 63."""
        if self._packed is None:
            self._packed = _pack(self.values, self.scale)
        if self._packed is not False:
            kernel = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
            product: Tensor = kernel(rows, 1.0, _INPUT_LEVELS + 1, self._packed)
            return product
        return nn.functional.linear(rows.round(), self.values.to(rows.dtype)) * self.scale

    def __getstate__(self) -> dict[str, Any]:
        # The packed weights are an object of torch that is made again.
        return {**self.__dict__, "_packed": None}


class Int8PooledLinear(Int8Linear):
    """``PooledLinear`` with int8 weights."""

    def forward(self, context: Context) -> Tensor:  # type: ignore[override]
        """Scores (n, outputs)."""
        return super().forward(context.pooled)


class Int8GRU(nn.Module):
    """A gated recurrent unit (Cho et al., 2014, arXiv 1406.1078) of one layer with int8 weights.

    Args:
        gru: One with ``batch_first``, one layer and one direction.

    Raises:
        ValueError: It has more layers or directions.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        if gru.num_layers > 1 or gru.bidirectional or not gru.batch_first:
            raise ValueError("int8 is for GRUs of one layer and direction with batch_first: leave int8 out")
        self.hidden = gru.hidden_size
        weights = dict(gru.named_parameters())
        self.inputs = Int8Linear.of(weights["weight_ih_l0"], weights.get("bias_ih_l0"))
        self.recurrent = Int8Linear.of(weights["weight_hh_l0"], weights.get("bias_hh_l0"))

    def forward(self, entries: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Outputs (n, s, H) of entries (n, s, inputs) after a state (1, n, H), and the last state."""
        made = self.inputs(entries)
        hidden = entries.new_zeros(len(entries), self.hidden) if state is None else state[0]
        outputs = []
        for step in range(entries.shape[1]):
            reset, update, new = made[:, step].chunk(3, 1)
            old_reset, old_update, old_new = self.recurrent(hidden).chunk(3, 1)
            update = torch.sigmoid(update + old_update)
            new = torch.tanh(new + torch.sigmoid(reset + old_reset) * old_new)
            hidden = new + update * (hidden - new)
            outputs.append(hidden)
        return torch.stack(outputs, 1), hidden[None]


_LAYERS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Linear: Int8Linear,
    PooledLinear: Int8PooledLinear,
    nn.GRU: Int8GRU,
}


def quantise(module: M) -> M:
    """A copy of a module whose linear layers and GRUs have int8 weights; it is not trained any more.

    Low-rank adapters are merged into their layers first.

    Example:
        >>> quantise(nn.Sequential(nn.Linear(3, 2)))[0].values.dtype
        torch.int8
    """
    made = copy.deepcopy(module)
    merge_lora(made)
    for parent in list(made.modules()):
        for key, child in parent.named_children():
            if type(child) in _LAYERS:
                setattr(parent, key, _LAYERS[type(child)](child))
    return made.requires_grad_(False)


def is_quantised(module: nn.Module) -> bool:
    """Whether a module has layers with int8 weights."""
    return any(isinstance(one, Int8Linear) for one in module.modules())


def parameters(module: nn.Module) -> int:
    """How many numbers a module has learned: parameters, int8 weights and their scales; no batch statistics.

    Example:
        >>> parameters(nn.Linear(3, 2)), parameters(Int8Linear(nn.Linear(3, 2)))
        (8, 10)
    """
    layers = [one for one in module.modules() if isinstance(one, Int8Linear)]
    learned = [*module.parameters(), *(number for one in layers for number in one.buffers())]
    return sum(one.numel() for one in learned)


def _pack(values: Tensor, scale: Tensor) -> Any:
    """The weights as FBGEMM takes them; False where it is missing or the weights are not on the CPU."""
    if values.device.type != "cpu" or torch.backends.quantized.engine not in ("x86", "fbgemm"):
        return False
    try:
        with warnings.catch_warnings():
            # Torch deprecates tensors of quantised dtypes; without them the float32 product is used.
            warnings.simplefilter("ignore")
            zero = torch.zeros(len(scale), dtype=torch.int64)
            quantised = torch._make_per_channel_quantized_tensor(values, scale.double(), zero, 0)
            return torch.ops.quantized.linear_prepack(quantised, None)
    except (AttributeError, RuntimeError):
        return False


def _forget_packed(layer: nn.Module, _: object) -> None:
    layer._packed = None  # type: ignore[assignment]
