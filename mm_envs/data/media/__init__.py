"""Pictures, clips and sounds from files, decoded deterministically and within limits, or refused.

The content of a file decides its format, not its name. Every fault of a file is a ``MediaError`` that names
the file and the cure, or a ``FileNotFoundError``; never an exception of the library that decodes it.
"""

from mm_envs.data.media.files import MediaError
from mm_envs.data.media.images import read_image
from mm_envs.data.media.paths import safe_path
from mm_envs.data.media.probe import MediaInfo, probe
from mm_envs.data.media.resample import resample
from mm_envs.data.media.sounds import read_audio
from mm_envs.data.media.video import read_video

__all__ = [
    "MediaError",
    "MediaInfo",
    "probe",
    "read_audio",
    "read_image",
    "read_video",
    "resample",
    "safe_path",
]
