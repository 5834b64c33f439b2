"""VQA v2: ``*_questions.json`` with ``*_annotations.json``, pictures ``COCO_{subset}_{image:012}.jpg``.

Goyal, Khot, Summers-Stay, Batra and Parikh, Making the V in VQA Matter, CVPR 2017, arXiv:1612.00837: open
questions about COCO pictures, each answered by ten people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from sys import intern
from typing import Any

from mm_envs.data.layouts.coco import pictures_of, subset_split
from mm_envs.data.layouts.entries import Entry, json_of
from mm_envs.data.layouts.files import Files, listed
from mm_envs.data.layouts.reading import Gatherer
from mm_envs.data.records import Record, Source

_PLACES = (".", "annotations", "questions", "Annotations", "Questions")
_SUBSET = re.compile(r"(?P<subset>(train|val|test)[-\w]*)_(questions|annotations)\.json")


def recognise(root: Path) -> str | None:
    """Which files of questions there are."""
    names = ", ".join(path.name for path in _files(root, "questions").values())
    return f"questions about pictures with the answers of ten people, of VQA v2 ({names})" if names else None


def read(root: Path, on_error: str) -> Source:
    """One item for each question, ``answer`` the most frequent one, ``answers`` those of all people.

    ``kind`` is the answer type: "yes/no", "number" or "other". Records have the columns ``question_id``,
    ``image_id``, ``question_type`` and ``answer_type``; by default the questions about one picture stay in
    one split. The split is that of the file name, where there is more than one file. Questions without a file
    of annotations (the test sets) are passed over.

    Raises:
        ValueError: A file is no JSON, or a value is missing or wrong.
        FileNotFoundError: A picture or a file is missing.
    """
    gatherer = Gatherer(on_error)
    questions, annotations = _files(root, "questions"), _files(root, "annotations")
    both = [subset for subset in questions if subset in annotations]
    if not both:
        raise FileNotFoundError(
            f"{root}: no *_{next(iter(questions), 'train2014')}_questions.json and *_annotations.json of the "
            "same subset: put both there"
        )
    for subset in both:
        path = questions[subset]
        split = subset_split(subset) if len(both) > 1 else None
        pictures = pictures_of(path, root, subset)
        answers = _answers(json_of(annotations[subset], root), gatherer)
        for question in json_of(path, root).entries("questions", gatherer):
            with gatherer.item():
                gatherer.records.append(_record(question, answers, pictures, subset, split))
    return gatherer.source("vqa", root, recognise(root) or "", group="image_id")


def _record(
    question: Entry, answers: Mapping[int, dict[str, Any]], pictures: Files, subset: str, split: str | None
) -> Record:
    number, image = question.get("question_id", int), question.get("image_id", int)
    found = answers.get(number)
    if found is None:
        raise question.fault(f"question {number} has no annotation: get both files anew, of one release")
    if found["image_id"] != image:
        raise question.fault(
            f"image_id={image} is {found['image_id']} in its annotation: get both files anew"
        )
    values = {"question": question.get("question", str).strip(), **found["values"]}
    columns = {"question_id": number, "image_id": image, "answer_type": values["kind"]}
    columns["question_type"] = found["question_type"]
    picture = pictures.take(f"COCO_{subset}_{image:012}.jpg", question.place)
    return Record(question.place, {"image": picture}, values, split, columns)


def _answers(file: Entry, gatherer: Gatherer) -> Mapping[int, dict[str, Any]]:
    """Question id -> what its annotation says."""
    found: dict[int, dict[str, Any]] = {}
    for one in file.entries("annotations", gatherer):
        with gatherer.item():
            number = one.get("question_id", int)
            if number in found:
                raise one.fault(f"question_id={number} stands twice: keep one of them")
            # A few thousand answers stand here millions of times.
            values = {
                "answer": intern(one.get("multiple_choice_answer", str)),
                "answers": _of_people(one),
                "kind": intern(one.get("answer_type", str)),
            }
            kind = intern(one.get("question_type", str))
            found[number] = {"values": values, "question_type": kind, "image_id": one.get("image_id", int)}
    return found


def _of_people(one: Entry) -> list[str]:
    """What each person answered; millions of them, looked at singly only to say what is wrong with one."""
    try:
        found = [intern(person["answer"]) for person in one.get("answers", list)]
        "".join(found).encode()
        return found
    except (TypeError, KeyError, UnicodeEncodeError):
        pass  # What is said below stands alone, not on top of this.
    return [person.get("answer", str) for person in one.entries("answers")]


def _files(root: Path, kind: str) -> dict[str, Path]:
    """Subset -> its file of questions or annotations, the training set first."""
    found: dict[str, Path] = {}
    for path in (path for place in _PLACES for path in listed(root, place, [".json"])):
        match = _SUBSET.search(path.name)
        if match and match.group(3) == kind:
            found.setdefault(match["subset"], path)
    return found
