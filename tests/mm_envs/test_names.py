"""Names that stand for objects, and the sentences for what does not fit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from folders import everything

from mm_envs.data.dataset import DATASETS, Dataset, arguments_of, make_dataset
from mm_envs.data.digits import Digits
from mm_envs.names import at_least, keywords, refuse_unknown, resolve
from mm_envs.tasks import TASKS, Task, make_task

TABLE = {"digest": "hashlib:sha256"}


def _one_sentence(error: pytest.ExceptionInfo[ValueError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert ". " not in message
    return message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("digst", "words='digst' is not one of digest"),
        ("digst:", "words='digst:' is not one of digest"),
        (":sha256", "words=':sha256' is not one of digest"),
        ("..names:resolve", "is not one of digest"),
        ("hashlib:sha256:x", "is not one of digest"),
        (7, "words=7 is not one of digest"),
        ({"a": 1}, "is not one of digest"),
        (
            "no_such_module.sources:Source",
            "words='no_such_module.sources:Source': there is no module no_such_module",
        ),
        ("hashlib.nothing:x", "there is no module hashlib.nothing"),
        ("hashlib:sha265", "module hashlib has no sha265: did you mean sha256?"),
        ("hashlib:qqqqqqqq", "module hashlib has no qqqqqqqq: give the name of something in it"),
    ],
)
def test_errors_of_resolve_name_the_value(value: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        resolve("words", value, TABLE)
    assert message in _one_sentence(error)


def test_a_module_that_misses_another_one_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_source.py").write_text("import something_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_there"):
        resolve("feedback", "half_a_source:Source", {})
    assert "half_a_source" not in sys.modules


def test_names_of_the_table_and_strings_of_the_user_give_the_same_object() -> None:
    assert resolve("words", "digest", TABLE) is resolve("words", "hashlib:sha256", {})


def test_numbers_that_are_too_small_are_named() -> None:
    at_least("steps", 1, 1)
    for wrong in (0, -5, float("nan")):
        with pytest.raises(ValueError, match=f"steps={wrong} is below 1: cure"):
            at_least("steps", wrong, 1, "cure")


def test_keywords_are_those_that_can_be_given_by_name() -> None:
    def function(a: int, /, b: int, *c: int, d: int = 0, **e: int) -> None: ...

    assert keywords(function) == (["b", "d"], True)
    refuse_unknown("it", ["b"], ["b", "d"])
    with pytest.raises(ValueError, match="it has no argument 'a': it takes none"):
        refuse_unknown("it", ["a"], [])


# Tasks and datasets ---------------------------------------------------------------------------------------


class Small(Digits):
    """A dataset of a user's own."""


def anything(**arguments: Any) -> dict[str, Any]:
    """Neither a task nor a dataset."""
    return arguments


def test_a_users_own_dataset_is_built_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_data", sys.modules[__name__])
    task = make_task("classify", dataset="my_data:Small", scale=6)
    assert isinstance(task.dataset, Small)
    assert task.context_spaces["image"].shape == (1, 48, 48)
    with pytest.raises(ValueError, match="has no argument 'skale'"):
        make_task("classify", dataset="my_data:Small", skale=6)


@pytest.mark.parametrize("make", [make_task, make_dataset])
def test_what_a_users_name_gives_is_checked(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_data", sys.modules[__name__])
    with pytest.raises(ValueError, match="='my_data:anything' gives dict: it has to give a"):
        make("my_data:anything")
    with pytest.raises(ValueError, match="='my_data:TABLE' cannot be called"):
        make("my_data:TABLE")


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_listed_argument_is_taken(dataset: str, tmp_path: Path) -> None:
    """Each is handed on with its default, which changes nothing."""
    import inspect

    from mm_envs.data.scenes.layout import SceneConfig

    known = arguments_of(dataset)
    assert known
    factory = resolve("dataset", dataset, DATASETS)
    defaults = {
        name: parameter.default
        for one in (factory, SceneConfig)
        for name, parameter in inspect.signature(one).parameters.items()
    }
    needed = {"path": everything(tmp_path)} if dataset == "folder" else {}
    built = make_dataset(dataset, **{name: defaults[name] for name in known} | needed)
    assert built.fingerprint() == make_dataset(dataset, **needed).fingerprint()
    assert arguments_of(built) == []


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nonsense": 1}, "has no argument 'nonsense' (did you mean noise?): it takes dataset, "),
        ({"qqq": 1}, "has no argument 'qqq': it takes dataset, "),
        ({"colors": 4}, "has no argument 'colors' (did you mean colours?): it takes dataset, "),
        ({"objects": 9}, "objects=9 is not a pair of numbers: write for instance objects=(1, 4)"),
        ({"objects": "two"}, "objects='two' is not a pair of numbers"),
        ({"objects": (1, 2, 3)}, "objects=(1, 2, 3) is not a pair of numbers"),
        ({"objects": ("one", "two")}, "objects='one' is not a whole number"),
        ({"objects": (3, 9)}, "objects=(3, 9) is not an increasing pair within 1 to 4"),
        ({"colours": "many"}, "colours='many' is not a whole number"),
        ({"pixels": 64.5}, "pixels=64.5 is not a whole number"),
        ({"items": None}, "items=None is not a whole number"),
        ({"items": 1}, "items=1 is below 4: every split needs an item"),
        ({"noise": "loud"}, "noise='loud' is not within 0 to 0.1"),
        ({"dataset": "scene"}, "dataset='scene' is not one of scenes, digits"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_one_sentence(
    task: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as error:
        make_task(task, **arguments)
    assert message in _one_sentence(error)


def test_a_dataset_that_is_built_takes_no_arguments() -> None:
    with pytest.raises(ValueError, match=r"arguments \['scale'\] have no effect on a dataset"):
        make_task("classify", dataset=Digits(), scale=6)
    task = make_task("classify", dataset="digits")
    assert make_task(task) is task
    assert isinstance(task, Task)
    assert isinstance(task.dataset, Dataset)


def test_no_words_at_all_are_refused_and_not_taken_for_the_default() -> None:
    for task in ("caption", "vqa"):
        arguments = {"answer": "tokens"} if task == "vqa" else {}
        with pytest.raises(ValueError, match="max_tokens=0 is below 1"):
            make_task(task, max_tokens=0, **arguments)


def test_inputs_are_one_name_or_several() -> None:
    assert make_task("classify", inputs="image").modalities == ("image",)
    assert make_task("classify", inputs=["text", "image"]).modalities == ("text", "image")
    with pytest.raises(ValueError, match="inputs='smell' is not one of image, text"):
        make_task("classify", inputs="smell")
    with pytest.raises(ValueError, match=r"inputs=\[\] shows nothing: give at least one of image, text"):
        make_task("classify", inputs=[])
