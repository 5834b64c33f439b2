"""The judge of malformed folders knows a clear error from others, and what is broken is broken."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from benchmarks import malformed
from benchmarks.malformed import case, manifests, media, published
from benchmarks.malformed.case import Fault, Folder, opens, skipped, verdict


@dataclass(frozen=True)
class Quick:
    quick: bool = True
    threads: int = 1

    def folder(self, name: str) -> Any:
        raise AssertionError("no real data is needed")


ALL = {**media.makers(), **manifests.makers(), **published.makers()}


def rows(root: Path) -> None:
    manifests.written(root, manifests.rows_of(root, Random(0)), "jsonl")


def test_some_of_every_group_are_refused_and_the_report_says_so() -> None:
    found = malformed.bench(Quick(), lambda said: None)
    assert found.met, found.said
    assert found.values["opened"] == found.values["clear"] == found.values["skipped"] == 60
    assert all(group["kinds"] > 5 for group in found.values["groups"].values())
    json.dumps(found.to_dict())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_every_kind_is_refused(kind: str) -> None:
    for seed in range(3):
        found = malformed.tried("any", kind, ALL[kind], Random(f"{kind} {seed}"))
        assert (found.raised, found.skipped) == ("", "")


def test_draws_are_the_same_every_time_and_cover_every_kind() -> None:
    kinds = [kind for _, kind, _ in malformed.drawn(malformed.COUNT, malformed.LARGE)]
    assert kinds == [kind for _, kind, _ in malformed.drawn(malformed.COUNT, malformed.LARGE)]
    assert len(kinds) == 500
    assert set(ALL) < set(kinds)


def test_a_folder_that_is_right_is_taken(tmp_path: Path) -> None:
    rows(tmp_path)
    assert verdict(tmp_path, Fault(())) == "taken without a word"
    assert skipped(tmp_path, Fault((), items=6)).startswith("not counted")
    assert opens(tmp_path) == ""


def test_an_error_that_names_something_else_is_not_clear(tmp_path: Path) -> None:
    fault = manifests.makers()["jsonl missing file"](tmp_path, Random(0))
    assert verdict(tmp_path, fault) == ""
    assert "does not name 'line 99'" in verdict(tmp_path, Fault(("line 99",)))
    assert skipped(tmp_path, Fault(("line 99",))).startswith("not named (line 99)")
    assert skipped(tmp_path, Fault(fault.names, items=2)).startswith("not counted: 1 left out, 5")
    assert "metadata.jsonl" in opens(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("a.png"), "a foreign KeyError"),
        (UnicodeDecodeError("utf-8", b"a", 0, 1, "a.png"), "a foreign UnicodeDecodeError"),
        (OSError("a.png: broken: mend it"), "a foreign OSError"),
        # Raised here, which is not in mm_envs.
        (ValueError("a.png is broken: mend it"), "a foreign ValueError"),
    ],
)
def test_foreign_errors_are_not_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def refuses(*_: Any, **__: Any) -> Folder:
        raise error

    monkeypatch.setattr(Folder, "__init__", refuses)
    assert said in verdict(tmp_path, Fault(("a.png",)))
    assert said in skipped(tmp_path, Fault(("a.png",)))
    assert "refused" in skipped(tmp_path, Fault(("a.png",), items=3))


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("a.png is broken: mend it", ""),
        ("a.png\nis broken: mend it", "not one sentence"),
        ("a.png is broken", "not one sentence"),
        (f"a.png is {'very ' * 200}broken: mend it", "not one sentence"),
        ("b.png is broken: mend it", "does not name 'a.png'"),
        ("a.png: cannot identify <_io.BytesIO object at 0x7f>: mend it", "speaks of 'object at 0x'"),
    ],
)
def test_a_clear_error_is_one_sentence_with_file_and_cure(
    monkeypatch: pytest.MonkeyPatch, sentence: str, said: str
) -> None:
    monkeypatch.setattr(case, "_HOME", str(Path(__file__).parent))
    with pytest.raises(ValueError) as caught:
        raise ValueError(sentence)
    found = case.unclear(caught.value, ("a.png",))
    assert said in found
    assert bool(said) == bool(found)


def test_an_error_that_shows_the_one_beneath_it_is_not_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "_HOME", str(Path(__file__).parent))

    def raises(cause: Exception | None) -> None:
        try:
            raise KeyError("x")
        except KeyError:
            raise ValueError("a.png is broken: mend it") from cause

    for cause, clear in ((None, True), (KeyError("x"), False)):
        with pytest.raises(ValueError) as caught:
            raises(cause)
        assert (case.unclear(caught.value, ("a.png",)) == "") is clear


def test_a_warning_is_no_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folder, "__init__", lambda *_, **__: warnings.warn("corrupt", stacklevel=1))
    rows(tmp_path)
    assert opens(tmp_path) == "it warns: corrupt"


@pytest.mark.parametrize("form", media.FORMS)
def test_what_is_broken_is_refused_by_the_library_or_other_than_it_was(form: str) -> None:
    rng = Random(1)
    data = media.encoded(form, rng)
    whole = media.decoded(form, data)
    assert whole is not None
    for damage in (media.truncated, media.flipped, media.beheaded):
        made = next(one for _ in range(400) if (one := damage(form, data, rng)) is not None)
        found = media.decoded(form, made)
        same = found is not None and len(found) == len(whole)
        assert not (same and all(np.array_equal(a, b) for a, b in zip(found or [], whole, strict=True)))


def test_a_damage_that_never_breaks_anything_is_no_case(tmp_path: Path) -> None:
    def spare(form: str, data: bytes, rng: Random) -> bytes | None:
        return None

    with pytest.raises(RuntimeError, match="spare never broke a PNG file"):
        media.broken("PNG", spare, tmp_path, Random(0))
