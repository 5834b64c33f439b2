"""VQA v2: ``*_questions.json`` with ``*_annotations.json``, pictures ``COCO_{subset}_{image:012}.jpg``.

Goyal, Khot, Summers-Stay, Batra and Parikh, Making the V in VQA Matter, CVPR 2017, arXiv:1612.00837: open
questions about COCO pictures, each with ten answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from sys import intern
from typing import Any

from mm_envs.data.faults import Faults
from mm_envs.data.layouts.coco import pictures_of, subset_split
from mm_envs.data.layouts.files import Files, listed
from mm_envs.data.layouts.reading import Entry, json_of
from mm_envs.data.records import Record

SIGN = "*_questions.json with *_annotations.json"
GROUP = "image_id"

_DIRECTORIES = (".", "annotations", "questions", "Annotations", "Questions")
_SUBSET = re.compile(r"(?P<subset>(train|val|test)[-\w]*)_(questions|annotations)\.json")
_STRICT = Faults("raise")


def recognise(root: Path) -> str | None:
    """Lists the files of questions."""
    names = ", ".join(path.name for path in _files(root, "questions").values())
    return f"questions about pictures with the answers of ten people, of VQA v2 ({names})" if names else None


def read(root: Path, faults: Faults) -> list[Record]:
    """Reads one item for each question: ``answer`` is the most frequent of its ``answers``.

    ``kind`` is the answer type: "yes/no", "number" or "other". Columns: ``question_id``, ``image_id``,
    ``question_type`` and ``answer_type``. The split is that of the name of the file, if there are several.
    Questions without a file of annotations (the test sets) are passed over.
    """
    records = []
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
        answers = _answers(json_of(annotations[subset], root), faults)
        for question in json_of(path, root).entries("questions", faults):
            with faults:
                records.append(_record(question, answers, pictures, subset, split))
    return records


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
    picture = pictures.take(f"COCO_{subset}_{image:012}.jpg", question.location)
    return Record(question.location, {"image": picture}, values, split, columns)


def _answers(file: Entry, faults: Faults) -> Mapping[int, dict[str, Any]]:
    """The values of each annotation by the id of its question."""
    found: dict[int, dict[str, Any]] = {}
    for one in file.entries("annotations", faults):
        with faults:
            number = one.get("question_id", int)
            if number in found:
                raise one.fault(f"question_id={number} is used twice: keep one of them")
            # A few thousand texts occur millions of times.
            values = {
                "answer": intern(one.get("multiple_choice_answer", str)),
                "answers": _all_answers(one),
                "kind": intern(one.get("answer_type", str)),
            }
            kind = intern(one.get("question_type", str))
            found[number] = {"values": values, "question_type": kind, "image_id": one.get("image_id", int)}
    return found


def _all_answers(one: Entry) -> list[str]:
    """The answers to a question; millions of them, checked singly only to report a fault."""
    try:
        found = [intern(answer["answer"]) for answer in one.get("answers", list)]
        "".join(found).encode()
        return found
    except (TypeError, KeyError, UnicodeEncodeError):
        pass  # The error below is raised on its own, not as the consequence of this one.
    return [answer.get("answer", str) for answer in one.entries("answers", _STRICT)]


def _files(root: Path, kind: str) -> dict[str, Path]:
    """The file of questions or annotations of each subset, the training set first."""
    found: dict[str, Path] = {}
    for path in (path for directory in _DIRECTORIES for path in listed(root, directory, [".json"])):
        match = _SUBSET.search(path.name)
        if match and match.group(3) == kind:
            found.setdefault(match["subset"], path)
    return found
