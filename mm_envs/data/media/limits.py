"""How large a file may be and announce itself: a small file must not cost much memory or time.

A header is believed before anything is decoded; so its numbers are looked at first.
"""

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

# Samples a second that some microphone or some converter really gives.
MIN_RATE, MAX_RATE = 1_000, 384_000
