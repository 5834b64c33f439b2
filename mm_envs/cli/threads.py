"""How many threads torch uses, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Sets the number of torch's threads and puts it back, whatever happens inside.

    One is best for commands whose tensors are small: handing parts of them to other threads costs more than
    it saves, and very much more on a busy machine.

    Args:
        threads: The number; 0 leaves it as it is.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
