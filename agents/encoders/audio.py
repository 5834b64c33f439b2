"""Sound: a log-mel spectrogram, then convolutions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, grid, within
from agents.encoders.log_mel import LogMel, mel_filters
from mm_envs.spaces import Audio

_CHANNELS = (16, 32, 48)
_CELLS = (5, 4)  # in frequency and in time
_LEVELS = 2  # mean and deviation of the whole sound
_MIN_DEVIATION = 0.05
_MAX_FRAMES = 64


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

    timed = True

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

    def forward(
        self,
        audio: Tensor,
        length: Tensor | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> Encoded:
        """Tokens of sounds (n, samples), float32 in -1 to 1; silence from ``length`` (n, 1) on.

        ``augment`` changes standardised spectrograms (n, bands, frames), as ``augment.spec_augment`` does.
        """
        if length is not None:
            audio = audio * within(length, audio.shape[1])
        log_mel = self.spectrogram(audio)
        if log_mel.shape[2] > _MAX_FRAMES:
            log_mel = nn.functional.adaptive_avg_pool1d(log_mel, _MAX_FRAMES)
        standardised, level = standardise(log_mel)
        if augment is not None:
            standardised = augment(standardised)
        # Channels last makes convolutions of so few channels twice as fast on a CPU.
        picture = standardised[:, None].contiguous(memory_format=torch.channels_last)
        cells = self.net(picture).flatten(2).transpose(1, 2)
        return Encoded(torch.cat([cells, level.expand(-1, self.count, -1)], 2), None, self.positions)


def standardise(log_mel: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Spectrograms (n, bands, frames) with mean 0 and deviation 1, and both levels (n, 1, 2).

    Deviations below 0.05 are hardly amplified. Frames without a mask (n, frames) bool do not count and are 0.
    """
    there = torch.ones_like(log_mel[:, :1]) if mask is None else mask[:, None].to(log_mel.dtype)
    share = there / (there.sum(2, keepdim=True).clamp(min=1) * log_mel.shape[1])
    mean = (log_mel * share).sum((1, 2), keepdim=True)
    centred = (log_mel - mean) * there
    deviation = (centred.square() * share).sum((1, 2), keepdim=True).sqrt()
    return centred / (deviation + _MIN_DEVIATION), torch.cat([mean, deviation], 2)


__all__ = ["AudioEncoder", "LogMel", "mel_filters", "standardise"]
