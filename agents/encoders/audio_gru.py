"""Sound: the frames of a log-mel spectrogram in their context."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from agents.encoders.audio import standardise
from agents.encoders.encoded import Encoded, Encoder, grid, within
from agents.encoders.gru import MaskedGRU
from agents.encoders.log_mel import LogMel
from mm_envs.names import at_least
from mm_envs.spaces import Audio

_BANDS = 40
_LEVELS = 2  # mean and deviation of the whole sound
_MAX_FRAMES = 64
_WIDTH = 64


class GRUAudioEncoder(Encoder):
    """Encodes an ``Audio`` entry by a bidirectional GRU over the frames of its log-mel spectrogram.

    A token for each frame, whose position is its moment; longer sounds are averaged to 64 tokens. With a
    length, frames behind it do not exist: silence of any duration behind a sound of at most 64 frames changes
    no token. The spectrogram is standardised sound by sound, as in ``AudioEncoder``.

    Args:
        space: The space of the entry.
        width: Numbers per token, even.

    Example:
        >>> encoder = GRUAudioEncoder(Audio(4000, 8000))
        >>> encoder(torch.zeros(5, 4000)).tokens.shape
        torch.Size([5, 30, 64])
    """

    timed = True

    def __init__(self, space: Audio, width: int = _WIDTH) -> None:
        at_least("width", width, 1)
        spectrogram = LogMel(space.sample_rate, _BANDS)
        count = min(_MAX_FRAMES, spectrogram.frames(int(space.shape[0])))
        super().__init__(width, count, grid(count))
        self.spectrogram = spectrogram
        self.frames = nn.Linear(_BANDS + _LEVELS, width)
        self.gru = MaskedGRU(width, width)

    def forward(
        self,
        audio: Tensor,
        length: Tensor | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> Encoded:
        """Tokens of sounds (n, samples); the arguments are those of ``AudioEncoder``."""
        mask = None
        if length is not None:
            audio = audio * within(length, audio.shape[1])
        log_mel = self.spectrogram(audio)
        if length is not None:
            mask = self.spectrogram.within(length, log_mel.shape[2])
        log_mel, mask = _averaged(log_mel, mask)
        standardised, level = standardise(log_mel, mask)
        if augment is not None:
            standardised = augment(standardised)
        frames = torch.cat([standardised.transpose(1, 2), level.expand(-1, self.count, -1)], 2)
        encoded = Encoded(self.gru(self.frames(frames).relu_(), mask), None, self.positions)
        return encoded if mask is None else encoded.masked(mask)


def _averaged(log_mel: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Spectrograms (n, bands, at most 64 frames); an average exists if one of its frames does."""
    if log_mel.shape[2] <= _MAX_FRAMES:
        return log_mel, mask
    pool = nn.functional.adaptive_avg_pool1d
    if mask is None:
        return pool(log_mel, _MAX_FRAMES), None
    share = pool(mask[:, None].to(log_mel.dtype), _MAX_FRAMES)
    average = pool(log_mel * mask[:, None], _MAX_FRAMES) / share.clamp(min=1e-6)
    return average, share[:, 0] > 0
