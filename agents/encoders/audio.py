"""Sound: a log-mel spectrogram computed where the samples are, then convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, grid, within
from mm_envs.spaces import Audio

_WINDOW_SECONDS = 0.032
_FLOOR = 1e-5
_CHANNELS = (16, 32, 48)
_CELLS = (5, 4)  # in frequency and in time
_LEVELS = 2  # mean and deviation of the whole sound
_MIN_DEVIATION = 0.05
_MAX_FRAMES = 64


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
        spectrum = torch.fft.rfft(frames * self.hann)
        # The square of the absolute value, without its root.
        energy = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
        log_mel: Tensor = (energy + _FLOOR).log().transpose(1, 2) / -math.log(_FLOOR)
        return log_mel


class AudioEncoder(Encoder):
    """Encodes an ``Audio`` entry: log-mel, then convolutions over frequency and time, a token for each cell.

    The spectrogram is standardised sound by sound, so that neither loudness nor steady noise hides what is
    spoken; mean and deviation are part of every token. The largest response of each of 5 x 4 cells of mel
    scale and time counts. Sounds of more than about a second are taken in 64 steps of equal length.

    Example:
        >>> encoder = AudioEncoder(Audio(4000, 8000))
        >>> encoder(torch.zeros(5, 4000)).tokens.shape
        torch.Size([5, 20, 50])
    """

    def __init__(self, space: Audio) -> None:
        first, second, third = _CHANNELS
        positions = grid(*_CELLS)
        super().__init__(third + _LEVELS, len(positions), positions)
        self.spectrogram = LogMel(space.sample_rate)
        self.net = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=(2, 1), padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(_CELLS),
        )

    def forward(self, audio: Tensor, length: Tensor | None = None) -> Encoded:
        """Tokens of sounds (n, samples), float32 in -1 to 1; silence from ``length`` (n, 1) on."""
        if length is not None:
            audio = audio * within(length, audio.shape[1])
        log_mel = self.spectrogram(audio)
        if log_mel.shape[2] > _MAX_FRAMES:
            log_mel = nn.functional.adaptive_avg_pool1d(log_mel, _MAX_FRAMES)
        mean = log_mel.mean((1, 2), keepdim=True)
        deviation = (log_mel - mean).square().mean((1, 2), keepdim=True).sqrt()
        picture = ((log_mel - mean) / (deviation + _MIN_DEVIATION))[:, None]
        # Channels last makes convolutions of so few channels twice as fast on a CPU.
        cells = self.net(picture.contiguous(memory_format=torch.channels_last)).flatten(2).transpose(1, 2)
        level = torch.cat([mean, deviation], 2).expand(-1, self.count, -1)
        return Encoded(torch.cat([cells, level], 2), None, self.positions)
