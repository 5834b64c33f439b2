"""Sound: a log-mel spectrogram computed where the samples are, then convolutions over time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mm_envs.spaces import Audio

_WINDOW_SECONDS = 0.032
_FLOOR = 1e-5
_TIMES = 4


def mel_filters(bands: int, window: int, sample_rate: int) -> Tensor:
    """Triangular filters that are equally wide on the mel scale, m = 2595 log10(1 + f / 700).

    Args:
        bands: How many filters.
        window: Samples in a window; its spectrum has ``window // 2 + 1`` frequencies.
        sample_rate: In hertz.

    Returns:
        Weights of shape (window // 2 + 1, bands), float32, 0 to 1.

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
    """Samples to a log-mel spectrogram: Hann windows of about 32 ms, half overlapping.

    Args:
        sample_rate: In hertz.
        bands: How many mel bands.
    """

    hann: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int, bands: int = 40) -> None:
        super().__init__()
        self.window = 2 ** max(4, round(math.log2(sample_rate * _WINDOW_SECONDS)))
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        self.register_buffer("filters", mel_filters(bands, self.window, sample_rate), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Log energies (n, bands, frames), roughly -1 to 2, of samples (n, samples) in -1 to 1."""
        missing = max(0, self.window - samples.shape[1])
        frames = nn.functional.pad(samples, (0, missing)).unfold(1, self.window, self.window // 2)
        energy = torch.fft.rfft(frames * self.hann).abs().square() @ self.filters
        log_mel: Tensor = (energy + _FLOOR).log().transpose(1, 2) / -math.log(_FLOOR)
        return log_mel


class AudioEncoder(nn.Module):
    """Encodes an ``Audio`` entry: log-mel, two convolutions over time, four stretches of time kept apart.

    The mel bands are channels of the convolutions, so that the pitch of a tone is not averaged away.

    Args:
        space: The space of one sound; its sample rate decides the windows and filters.
        features: How many numbers to give per sound.

    Example:
        >>> encoder = AudioEncoder(Audio(4000, 8000), features=8)
        >>> encoder(torch.zeros(5, 4000)).shape
        torch.Size([5, 8])
    """

    def __init__(self, space: Audio, features: int) -> None:
        super().__init__()
        self.spectrogram = LogMel(space.sample_rate)
        bands = self.spectrogram.filters.shape[1]
        self.net = nn.Sequential(
            nn.Conv1d(bands, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(_TIMES),
            nn.Flatten(),
            nn.Linear(64 * _TIMES, features),
            nn.ReLU(),
        )

    def forward(self, audio: Tensor, length: Tensor | None = None) -> Tensor:
        """Features (n, features) of sounds (n, samples), float32 in -1 to 1.

        Samples from ``length`` (n, 1) on are taken as silence.
        """
        if length is not None:
            audio = audio * (torch.arange(audio.shape[1], device=audio.device) < length.reshape(-1, 1))
        features: Tensor = self.net(self.spectrogram(audio))
        return features
