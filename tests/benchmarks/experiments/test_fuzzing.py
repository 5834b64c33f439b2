"""Clear errors differ from others, and what is broken is broken."""

from __future__ import annotations

import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from benchmarks.experiment import Context
from benchmarks.experiments.fuzzing import EXPERIMENT, case, manifests, media, published, tried
from benchmarks.experiments.fuzzing.case import Fault, Folder, opens, skipped, verdict

ALL = {**media.makers(), **manifests.makers(), **published.makers()}


def rows(root: Path) -> None:
    manifests.written(root, manifests.rows_of(root, Random(0)), "jsonl")


def test_some_of_every_group_are_refused_and_the_report_counts_them(tmp_path: Path) -> None:
    findings = EXPERIMENT.run(tmp_path, Context(), quick=True)
    report = EXPERIMENT.report(findings, "")
    assert report.notes == ()
    (table,) = report.tables
    assert table.title.endswith("0 folders without one were refused")
    assert [row[2:] for row in table.rows] == [("16",) * 3] * 3 + [("1",) * 3]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_every_kind_is_refused(kind: str) -> None:
    for seed in range(3):
        assert tried(ALL[kind], Random(f"{kind} {seed}")) == ["", ""]


def test_a_folder_that_is_right_is_taken(tmp_path: Path) -> None:
    rows(tmp_path)
    assert verdict(tmp_path, Fault(())) == "opened without an error"
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
    ("error", "expected"),
    [
        (KeyError("a.png"), "a foreign KeyError"),
        (UnicodeDecodeError("utf-8", b"a", 0, 1, "a.png"), "a foreign UnicodeDecodeError"),
        (OSError("a.png: broken: mend it"), "a foreign OSError"),
        # Raised here, which is not in mm_envs.
        (ValueError("a.png is broken: mend it"), "a foreign ValueError"),
    ],
)
def test_foreign_errors_are_not_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    def refuses(*_: Any, **__: Any) -> Folder:
        raise error

    monkeypatch.setattr(Folder, "__init__", refuses)
    assert expected in verdict(tmp_path, Fault(("a.png",)))
    assert expected in skipped(tmp_path, Fault(("a.png",)))
    assert "refused" in skipped(tmp_path, Fault(("a.png",), items=3))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a.png is broken: mend it", ""),
        ("a.png\nis broken: mend it", "not one sentence"),
        ("a.png is broken", "not one sentence"),
        (f"a.png is {'very ' * 200}broken: mend it", "not one sentence"),
        ("b.png is broken: mend it", "does not name 'a.png'"),
        ("a.png: cannot identify <_io.BytesIO object at 0x7f>: mend it", "mentions 'object at 0x'"),
    ],
)
def test_a_clear_error_is_one_sentence_with_file_and_cure(
    monkeypatch: pytest.MonkeyPatch, sentence: str, expected: str
) -> None:
    monkeypatch.setattr(case, "_HOME", str(Path(__file__).parent))
    with pytest.raises(ValueError) as caught:
        raise ValueError(sentence)
    found = case.unclear(caught.value, ("a.png",))
    assert expected in found
    assert bool(expected) == bool(found)


def test_an_error_that_shows_its_cause_is_not_clear(monkeypatch: pytest.MonkeyPatch) -> None:
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
