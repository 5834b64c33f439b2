"""Log-mel spectrograms, computed where the samples are."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_WINDOW_SECONDS = 0.032
_FLOOR = 1e-5


def mel_filters(bands: int, window: int, sample_rate: int) -> Tensor:
    """Triangular filters that are equally wide on the mel scale, m = 2595 log10(1 + f / 700).

    Weights of shape (window // 2 + 1, bands), float32, 0 to 1, for windows of so many samples.

    Example:
        >>> mel_filters(bands=8, window=256, sample_rate=8000).shape
        torch.Size([129, 8])
    """
    highest = 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, highest, bands + 2) / 2595.0) - 1.0)
    # Filters narrower than the distance of two frequencies would hear nothing.
    spacing = sample_rate / window
    frequencies = torch.arange(window // 2 + 1)[:, None] * spacing
    centre = edges[1:-1]
    below, above = torch.minimum(edges[:-2], centre - spacing), torch.maximum(edges[2:], centre + spacing)
    rising = (frequencies - below) / (centre - below)
    falling = (above - frequencies) / (above - centre)
    return torch.minimum(rising, falling).clamp(min=0.0)


class LogMel(nn.Module):
    """Samples to a log-mel spectrogram: Hann windows of about 32 ms, half overlapping."""

    window: int
    hop: int
    hann: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int, bands: int = 40) -> None:
        super().__init__()
        self.window = 2 ** max(4, round(math.log2(sample_rate * _WINDOW_SECONDS)))
        self.hop = self.window // 2
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        self.register_buffer("filters", mel_filters(bands, self.window, sample_rate), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Log energies (n, bands, frames), roughly -1 to 2, of samples (n, samples) in -1 to 1."""
        missing = max(0, self.window - samples.shape[1])
        frames = nn.functional.pad(samples, (0, missing)).unfold(1, self.window, self.hop)
        spectrum = torch.fft.rfft(frames * self.hann)
        # The square of the absolute value, without its root.
        energy = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
        log_mel: Tensor = (energy + _FLOOR).log().transpose(1, 2) / -math.log(_FLOOR)
        return log_mel

    def frames(self, samples: int) -> int:
        """How many frames so many samples have: one at least."""
        return max(0, samples - self.window) // self.hop + 1

    def within(self, length: Tensor, frames: int) -> Tensor:
        """Which of so many frames (n, frames) bool lie before a length (n, 1) in samples.

        A sound has the frames that it has without the silence behind it: whole ones, and the first.
        """
        last = torch.div(length.reshape(-1, 1) - self.window, self.hop, rounding_mode="floor").clamp(min=0)
        index = torch.arange(frames, device=length.device)
        return (index <= last) & (length.reshape(-1, 1) > 0)
