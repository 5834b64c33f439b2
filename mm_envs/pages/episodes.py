"""Played episodes as one HTML page: pictures, sounds, answers, reward and utility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mm_envs.engine.pictures import pictures_of
from mm_envs.pages import HERE, png_uri, render, wav_uri
from mm_envs.spaces import Audio, Tokens

_GOOD, _FAIR = 0.95, 0.4


def page(episodes: Sequence[Any], title: str, subtitle: str) -> str:
    """The page of some episodes.

    Args:
        episodes: Each with spaces and context of one row, result, item, ticket and kind, as
            ``agents.playing.Played``.
        title: The title.
        subtitle: A sentence beneath it.

    Raises:
        ValueError: There is no episode.
    """
    if not episodes:
        raise ValueError("a page of no episodes: play at least one")
    n = len(episodes)
    return render(
        HERE / "episodes.html.jinja",
        title=title,
        subtitle=subtitle,
        utility=sum(one.result.utility for one in episodes) / n,
        reward=sum(one.result.reward for one in episodes) / n,
        cards=[_card(one) for one in episodes],
    )


def _card(played: Any) -> dict[str, Any]:
    result, pictures, sounds, words = played.result, [], [], []
    drawn = pictures_of(played.spaces, played.context, played.kind, result.answer)
    for key, space in played.spaces.items():
        value = played.context[key]
        for number, pixels in enumerate(drawn.get(key, ()), 1):
            which = f", number {number}" if len(drawn[key]) > 1 else f" of item {played.item}"
            pictures.append({"name": key + which, "uri": png_uri(pixels)})
        if isinstance(space, Audio):
            sounds.append({"name": key, "uri": wav_uri(value.numpy(), space.sample_rate)})
        elif isinstance(space, Tokens):
            words.append((key, space.vocabulary.decode(value)))
    grade = "good" if result.utility >= _GOOD else "fair" if result.utility >= _FAIR else "bad"
    return {
        "pictures": pictures,
        "sounds": sounds,
        "words": words,
        "result": result,
        "grade": grade,
        "ticket": played.ticket,
        "scores": [
            ("utility", result.utility, _share(result.utility), grade),
            ("reward", result.reward, _share(result.reward), "reward"),
        ],
    }


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
