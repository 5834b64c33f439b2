"""An explanation as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.explaining.attention import ANSWER, AttentionMap
from agents.explaining.attribution import Attribution
from agents.explaining.drawing import canvas, overlay
from agents.explaining.report import Example, Explanation, ShownSwap
from mm_envs.data.scenes.changes import FACTS
from mm_envs.engine.pictures import pictures_of
from mm_envs.pages import png_uri, render, wav_uri
from mm_envs.spaces import Audio, Tokens

_ABSENT = {"mask": "masked", "swap": "those of another item"}
_GOOD, _FAIR = 0.95, 0.4
_ALL = 0.995  # of the attention
_MIN_MASS = 0.02  # of attention to an entry, below which it is not drawn


def page(explanation: Explanation, title: str, subtitle: str) -> str:
    """The page of an explanation: Shapley values, counterfactual swaps, grounding, and items to look at."""
    return render(
        Path(__file__).with_name("explain.html.jinja"),
        title=title,
        subtitle=subtitle,
        items=explanation.items,
        absent=_ABSENT[explanation.absent],
        bars=[_bars(name, one) for name, one in explanation.attributions.items()],
        swaps=_swap_table(explanation),
        grounding=explanation.grounding,
        cards=[_card(explanation, one) for one in explanation.examples],
    )


def _bars(name: str, attribution: Attribution) -> dict[str, Any]:
    """Bars of Shapley values with intervals, in per cent of an axis that holds them all."""
    intervals = attribution.intervals()
    # With one item an interval is infinite: none is drawn.
    finite = {
        key: (one.value, max(one.low, -1e9), min(one.high, 1e9)) if abs(one.low) < 1e9 else (one.value,) * 3
        for key, one in intervals.items()
    }
    low = min(0.0, *(one[1] for one in finite.values()))
    high = max(0.0, *(one[2] for one in finite.values()), low + 1e-9)
    scale = 100 / (high - low)
    rows = [
        {
            "name": key,
            "text": str(intervals[key]),
            "zero": -low * scale,
            "start": (min(value, 0.0) - low) * scale,
            "width": abs(value) * scale,
            "low": (below - low) * scale,
            "high": (above - low) * scale,
        }
        for key, (value, below, above) in finite.items()
    ]
    every = attribution.values.double().mean(1)
    return {"name": name, "rows": rows, "all": float(every[-1]), "none": float(every[0])}


def _swap_table(explanation: Explanation) -> list[dict[str, Any]]:
    if explanation.swaps is None:
        return []
    table = [("all", explanation.swaps)] + [(fact, explanation.swaps.of(fact)) for fact in FACTS]
    return [{"name": name, **one.to_dict()} for name, one in table]


def _card(explanation: Explanation, example: Example) -> dict[str, Any]:
    spaces = explanation.spaces
    words = [
        (key, space.vocabulary.decode(example.context[key]))
        for key, space in spaces.items()
        if isinstance(space, Tokens)
    ]
    sounds = [
        {"name": key, "uri": wav_uri(example.context[key].numpy(), space.sample_rate)}
        for key, space in spaces.items()
        if isinstance(space, Audio)
    ]
    name, number = example.score
    return {
        "item": example.item,
        "pictures": list(_pictures(spaces, example.context)),
        "sounds": sounds,
        "words": words,
        "answer": example.answer,
        "good": example.good,
        "score": name,
        "number": number,
        "grade": "" if name != "utility" else _grade(number),
        "valued": example.valued,
        "shapley": list(example.shapley.items()),
        "layers": [_layer(spaces, example, one) for one in _drawable(spaces, example)],
        "swaps": [_swap(spaces, one) for one in example.swaps],
    }


def _pictures(spaces: Mapping[str, Any], context: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """What is seen, and the spectrograms of what is heard."""
    for key, several in pictures_of(spaces, context).items():
        yield from ({"name": key, "uri": png_uri(pixels)} for pixels in several)
    for key, space in spaces.items():
        if isinstance(space, Audio):
            drawn = canvas(space, context[key])
            assert drawn is not None
            yield {"name": f"spectrogram of {key}", "uri": png_uri(drawn)}


def _drawable(spaces: Mapping[str, Any], example: Example) -> Iterator[AttentionMap]:
    """The maps over grids of entries that can be drawn, and that get some attention."""
    for one in example.maps:
        drawn = canvas(spaces[one.entry], example.context[one.entry]) if one.shape else None
        if drawn is not None and float(one.mass.max()) > _MIN_MASS:
            yield one


def _layer(spaces: Mapping[str, Any], example: Example, one: AttentionMap) -> dict[str, Any]:
    """One panel for each query: where it looks, and how much of its attention falls on the entry."""
    space = spaces[one.entry]
    drawn = canvas(space, example.context[one.entry])
    assert drawn is not None
    assert one.shape is not None
    mass = one.mass[0]
    panels = [
        {
            "word": word,
            "mass": float(mass[index]),
            "uri": png_uri(overlay(drawn, one.weights[0, index], one.shape, space)),
        }
        for index, word in enumerate(one.query_words[0])
        if word
    ]
    there = [bool(word) for word in one.query_words[0]]
    source = "the answer" if one.queries == ANSWER else one.queries or "learned queries"
    name = f"{one.layer}: {source} to {one.entry}"
    return {"name": name, "panels": panels, "shared": bool((mass[there] < _ALL).any())}


def _swap(spaces: Mapping[str, Any], swap: ShownSwap) -> dict[str, Any]:
    return {
        "pictures": list(_pictures(spaces, swap.context)),
        "change": swap.change,
        "answer": swap.answer,
        "truth": "truth changes" if swap.truth_changes else "truth stays",
        "right": swap.truth_changes == swap.answer_changes,
        "changes": "answer changes" if swap.answer_changes else "answer stays",
        "kl": swap.kl,
        "utility": swap.utility,
    }


def _grade(utility: float) -> str:
    return "good" if utility >= _GOOD else "fair" if utility >= _FAIR else "bad"
