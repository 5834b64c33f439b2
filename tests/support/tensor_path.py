"""The code for devices on the CPU: what runs on NumPy arrays there, run on tensors instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from mm_envs import arrays

_ON_HOST = arrays.on_host


def _nothing_on_host(value: Any) -> bool:
    return False


@contextmanager
def on_tensors() -> Iterator[None]:
    """Everything runs on tensors, as on a device; environments are made AND stepped within.

    An environment that was made outside keeps its NumPy arrays: call it outside.
    """
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            # Modules that imported the function by name hold it, too.
            if name.startswith("mm_envs") and vars(module).get("on_host") is _ON_HOST:
                stack.enter_context(patch.object(module, "on_host", _nothing_on_host))
        yield
