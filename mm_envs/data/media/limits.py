"""Limits of files and of what their headers announce, checked before anything is decoded."""

from __future__ import annotations

# Bytes of one file: five minutes of stereo sound at 48 kHz in 32 bits.
MAX_BYTES = 128 * 2**20

# Pixels of one picture; 8,192 x 8,192 take 256 MiB while they are decoded.
MAX_PIXELS = 2**26

# Pixels of one frame of a clip, and of all its frames together: some ten seconds of decoding.
MAX_FRAME_PIXELS, MAX_CLIP_PIXELS = 2**24, 2**29

# Frames of a clip.
MAX_FRAMES = 10_000

# Scans of a progressive JPEG, each of which costs as much as decoding the whole picture; some ten are usual.
MAX_SCANS = 50

# Samples of a sound, all channels together: 11 minutes of one channel at 48 kHz.
MAX_SAMPLES = 2**25

# Sampling rates of real microphones and converters, in hertz.
MIN_RATE, MAX_RATE = 1_000, 384_000
