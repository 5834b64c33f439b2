"""Refuses wrappers of Gymnasium that cannot take what an environment returns, with the cure."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.wrappers import vector as wrappers

_NUMPY_ONLY = (
    wrappers.RecordEpisodeStatistics,
    wrappers.NormalizeReward,
    wrappers.DictInfoToList,
    wrappers.VectorizeTransformObservation,
)


def wrappers_around(env: object, kind: type[Any], link: str) -> list[Any]:
    """The wrappers through which the running ``reset`` reached an environment, innermost first.

    A wrapper refers to its environment and an environment to no wrapper, so the only place where they can be
    found is the call stack.

    Args:
        env: The environment that is being reset.
        kind: The base class of the wrappers.
        link: The attribute in which a wrapper keeps what it wraps.
    """
    found: list[Any] = []
    inner = env
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        # Reading the variables of a frame keeps them alive until it returns, so no other frame is looked at.
        if code.co_name == "reset" and code.co_argcount:
            outer = frame.f_locals.get(code.co_varnames[0])
            if isinstance(outer, kind) and getattr(outer, link) is inner:
                found.append(outer)
                inner = outer
        frame = frame.f_back
    return found


def refuse_wrappers(env: VectorEnv, output: str, device: torch.device) -> None:
    """Raises ``ValueError`` if the running ``reset`` came through a wrapper that does not fit.

    Wrappers that are not part of Gymnasium may convert anything, so none outside of them is checked.
    """
    same_step = env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    for wrapper in wrappers_around(env, VectorWrapper, "env"):
        if not type(wrapper).__module__.startswith("gymnasium."):
            return
        name = type(wrapper).__name__
        if isinstance(wrapper, wrappers.NormalizeObservation):
            raise ValueError(f"{name} takes a Box and these observations are a Dict: leave it out")
        # By its name, since importing it needs a package that may be missing.
        if any(base.__name__ == "ArrayConversion" for base in type(wrapper).__mro__):
            if same_step:
                raise ValueError(
                    f"{name} cannot convert the final_obs of autoreset_mode='SameStep': leave it out and use "
                    "output='numpy' or output='torch', or use autoreset_mode='NextStep'"
                )
            return
        # np.clip turns tensors into arrays, which tensors on the CPU alone allow.
        if output == "torch" and (
            isinstance(wrapper, _NUMPY_ONLY)
            or (isinstance(wrapper, wrappers.ClipReward) and device.type != "cpu")
        ):
            raise ValueError(
                f"{name} computes with NumPy arrays and output='torch' returns tensors: make the environment "
                "with gym.make_vec(..., output='numpy')"
            )
