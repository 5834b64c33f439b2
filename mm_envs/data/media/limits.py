"""Limits of files and of what their headers announce, checked before anything is decoded."""

from __future__ import annotations

MAX_BYTES = 128 * 2**20  # of one file: five minutes of stereo sound at 48 kHz in 32 bits
MAX_PIXELS = 2**26  # of one picture; 8,192 x 8,192 take 256 MiB while they are decoded
MAX_FRAME_PIXELS = 2**24  # of one frame of a clip
MAX_CLIP_PIXELS = 2**29  # of all its frames together: some ten seconds of decoding
MAX_FRAMES = 10_000  # of a clip
MAX_SCANS = 50  # of a progressive JPEG, each as expensive as the whole picture; some ten are usual
MAX_SAMPLES = 2**25  # of a sound, all channels together: 11 minutes of one channel at 48 kHz
MIN_RATE, MAX_RATE = 1_000, 384_000  # of real microphones and converters, in hertz
