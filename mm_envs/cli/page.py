"""Played episodes as one HTML page that needs nothing besides itself."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any

from mm_envs.engine.pictures import pictures_of
from mm_envs.spaces import Audio, Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mm_envs.cli.gallery import Played

_GOOD, _FAIR = 0.95, 0.4

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #f6f5f1; --card: #fff; --ink: #20222a; --faint: #6b6f7a;
  --line: #e3e1da; --good: #2f8f4e; --fair: #b98213; --bad: #c0433b; --reward: #1e64be; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171c; --card: #1e2128; --ink: #e8e8ea; --faint: #9a9eab; --line: #30343e;
    --good: #58c07b; --fair: #e0ae47; --bad: #ea736b; --reward: #6ea8f0; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 3rem) 3rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0 0 .2rem; font-size: 1.5rem; letter-spacing: -.01em; }
header p { margin: .15rem 0; color: var(--faint); }
header strong { color: var(--ink); font-variant-numeric: tabular-nums; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1.1rem;
  margin-top: 1.6rem; }
article { display: flex; flex-direction: column; overflow: hidden; background: var(--card);
  border: 1px solid var(--line); border-radius: 12px; }
article img { width: 100%; display: block; image-rendering: pixelated; background: #808080; }
audio { width: calc(100% - 1.4rem); height: 36px; margin: .7rem .7rem 0; }
dl { margin: 0; padding: .8rem 1rem 1rem; }
dt { margin-top: .55rem; font-size: .74rem; text-transform: uppercase; letter-spacing: .05em;
  color: var(--faint); }
dt:first-child { margin-top: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
dd.answer { font-weight: 650; font-size: 1.05rem; }
dd.ticket { font: .72rem/1.3 ui-monospace, monospace; color: var(--faint); }
dd ul { margin: 0; padding-left: 1.1rem; }
.good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
.scores { margin-top: auto; padding: .7rem 1rem .9rem; border-top: 1px solid var(--line);
  display: grid; grid-template-columns: auto 1fr auto; gap: .35rem .6rem; align-items: center;
  font-size: .85rem; font-variant-numeric: tabular-nums; }
.bar { height: 7px; border-radius: 4px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: 4px; background: currentColor; }
.reward { color: var(--reward); }
.scores span { color: var(--faint); }
.scores b { color: var(--ink); font-weight: 600; text-align: right; }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$subtitle</p>
<p>mean utility <strong>$utility</strong> · mean reward <strong>$reward</strong> · $count episodes.
Utility is the truth, from 0 to 1; reward is what the feedback said of the answer.</p>
</header>
<main>
$cards
</main>
</body>
</html>
""")


def page(episodes: Sequence[Played], title: str, subtitle: str) -> str:
    """The page: pictures and sounds as data URIs, every text escaped.

    Raises:
        ValueError: There is no episode.
    """
    if not episodes:
        raise ValueError("a page of no episodes: play at least one")
    n = len(episodes)
    return _PAGE.substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        utility=f"{sum(one.result.utility for one in episodes) / n:.3f}",
        reward=f"{sum(one.result.reward for one in episodes) / n:.3f}",
        count=n,
        cards="\n".join(map(_card, episodes)),
    )


def _card(played: Played) -> str:
    media, words = [], []
    pictures = pictures_of(played.spaces, played.context, played.kind, played.result.answer)
    for key, space in played.spaces.items():
        value = played.context[key]
        if key in pictures:
            several = len(pictures[key]) > 1
            for i, one in enumerate(pictures[key]):
                name = f"{escape(key)}, number {i + 1}" if several else f"{escape(key)} of item {played.item}"
                media.append(f'<img alt="{name}" src="{png_uri(one)}">')
        elif isinstance(space, Audio):
            uri = wav_uri(value.numpy(), space.sample_rate)
            media.append(
                f'<audio controls preload="metadata" src="{uri}" aria-label="{escape(key)}"></audio>'
            )
        elif isinstance(space, Tokens):
            words.append(f"<dt>{escape(key)}</dt><dd>{escape(space.vocabulary.decode(value)) or '-'}</dd>")
    result = played.result
    grade = "good" if result.utility >= _GOOD else "fair" if result.utility >= _FAIR else "bad"
    words.append(f'<dt>answer</dt><dd class="answer {grade}">{escape(result.answer) or "(nothing)"}</dd>')
    words.append(f"<dt>good answers</dt><dd>{_good(result.good)}</dd>")
    if played.ticket:
        words.append(f"<dt>ticket</dt><dd class='ticket'>{escape(played.ticket)}</dd>")
    scores = _score("utility", result.utility, grade) + _score("reward", result.reward, "reward")
    parts = ("".join(media), f"<dl>{''.join(words)}</dl>", f'<div class="scores">{scores}</div>')
    return "\n".join(("<article>", *parts, "</article>"))


def _good(answers: Sequence[str]) -> str:
    if len(answers) == 1:
        return escape(answers[0])
    return f"<ul>{''.join(f'<li>{escape(answer)}</li>' for answer in answers)}</ul>"


def _score(name: str, value: float, style: str) -> str:
    share = min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
    bar = f'<div class="bar {style}"><i style="width:{100 * share:.1f}%"></i></div>'
    return f"<span>{name}</span>{bar}<b>{value:.3f}</b>"


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
