"""HTML pages that load nothing: Jinja templates with autoescape, media as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_envs.optional import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent


def render(template: Path, **values: Any) -> str:
    """A page from a template, which may extend ``base.html.jinja``. Every value is escaped.

    Args:
        template: The file of the template.
        values: Its variables.

    Raises:
        MissingPackage: Jinja is not installed.
    """
    require("jinja2")
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def png_uri(pixels: NDArray[Any]) -> str:
    """A picture (channels, height, width) uint8 as a data URI."""
    from PIL import Image as pillow

    file = io.BytesIO()
    grey = len(pixels) == 1
    pillow.fromarray(pixels[0] if grey else pixels.transpose(1, 2, 0).copy()).save(file, "PNG", optimize=True)
    return _uri("image/png", file.getvalue())


def wav_uri(samples: NDArray[Any], sample_rate: int) -> str:
    """A sound (samples,) float32 as a data URI, 16 bits a sample."""
    return _uri("audio/wav", wav_bytes(samples, sample_rate))


def wav_bytes(samples: NDArray[Any], sample_rate: int) -> bytes:
    """A sound (samples,) float32 as a WAV file, 16 bits a sample."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
