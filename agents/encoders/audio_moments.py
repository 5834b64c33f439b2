"""Sound as a sequence of moments: convolutions over time whose channels are frequencies."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from agents.encoders.encoded import Encoded, Encoder, grid, within
from agents.encoders.log_mel import LogMel
from mm_envs.spaces import Audio

_BANDS, _WIDTH, _MAX_FRAMES, _MAX_MOMENTS = 40, 64, 128, 16


class MomentsAudioEncoder(Encoder):
    """Encodes an ``Audio`` entry: a token for each of at most 16 moments, which sees all frequencies.

    A log-mel spectrogram, then two strided convolutions over time with batch norm. Sounds of more than 128
    frames are averaged to so many; 4,096 samples at 8 kHz are 31 frames and 8 moments.

    Example:
        >>> import torch
        >>> encoder = MomentsAudioEncoder(Audio(4096, 8000))
        >>> encoder(torch.zeros(5, 4096)).tokens.shape
        torch.Size([5, 8, 64])
    """

    timed = True

    def __init__(self, space: Audio) -> None:
        spectrogram = LogMel(space.sample_rate, _BANDS)
        frames = min(spectrogram.frames(int(space.shape[0])), _MAX_FRAMES)
        moments = min(((frames + 1) // 2 + 1) // 2, _MAX_MOMENTS)
        super().__init__(_WIDTH, moments, grid(moments) if moments > 1 else None)
        self.spectrogram = spectrogram
        self.net = nn.Sequential(
            nn.BatchNorm1d(_BANDS).eval(),
            nn.Conv1d(_BANDS, _WIDTH, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm1d(_WIDTH).eval(),
            nn.ReLU(),
            nn.Conv1d(_WIDTH, _WIDTH, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(_WIDTH).eval(),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(moments),
        )

    def forward(
        self,
        audio: Tensor,
        length: Tensor | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> Encoded:
        """Tokens of sounds (n, samples), float32 in -1 to 1; silence from ``length`` (n, 1) on.

        ``augment`` changes spectrograms (n, bands, frames), as ``augment.spec_augment`` does.
        """
        if length is not None:
            audio = audio * within(length, audio.shape[1])
        log_mel = self.spectrogram(audio)
        if log_mel.shape[2] > _MAX_FRAMES:
            log_mel = nn.functional.adaptive_avg_pool1d(log_mel, _MAX_FRAMES)
        if augment is not None:
            log_mel = augment(log_mel)
        return Encoded(self.net(log_mel).transpose(1, 2).contiguous(), None, self.positions)
