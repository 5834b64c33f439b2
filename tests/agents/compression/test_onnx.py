"""ONNX graphs give the logits of the policy, for any number of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agents.compression.int8 import quantise
from agents.compression.onnx_export import MODEL, export_onnx
from agents.compression.onnx_policy import TOLERANCE, OnnxPolicy, largest_difference
from agents.examples import Examples
from agents.heads import GREEDY
from agents.policy import ResponsePolicy
from mm_envs.tasks import make_task


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "policy"),
    [
        ("classify", {"dataset": "digits"}, {}),
        ("classify", {"sound": "complement"}, {}),
        ("vqa", {}, {"fusion": "word_patch"}),
        ("retrieve", {}, {}),
        ("caption", {}, {}),
        ("vqa", {"answer": "tokens"}, {"fusion": "attention"}),
    ],
)
def test_graphs_equal_the_policy(
    tmp_path: Path, name: str, arguments: dict[str, Any], policy: dict[str, Any]
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    task = make_task(name, **arguments)
    model = ResponsePolicy(task, 16, 16, **policy)
    files = export_onnx(model, task, tmp_path)
    assert all(file.is_file() for file in files)
    onnx = OnnxPolicy(tmp_path, task, threads=1)
    assert largest_difference(model, onnx, task, sizes=(1, 2, 5, 64)) < TOLERANCE
    contexts = Examples(task).contexts(0, 33)
    expected, _ = model.sample(model.encode(contexts), torch.arange(33), GREEDY)
    assert torch.equal(onnx.answers(contexts), expected)
    with pytest.raises(ValueError, match="make the task that the policy was trained on"):
        OnnxPolicy(tmp_path, make_task("guess"))


@pytest.mark.parametrize(
    ("name", "policy", "message"),
    [
        ("ground", {}, "'boxes' have no ONNX graph"),
        ("guess", {}, "'turns' have no ONNX graph"),
        ("caption", {"decoder": "transformer"}, "use decoder='gru'"),
    ],
)
def test_other_policies_are_refused(tmp_path: Path, name: str, policy: dict[str, Any], message: str) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    task = make_task(name)
    with pytest.raises(ValueError, match=message):
        export_onnx(ResponsePolicy(task, 16, 16, **policy), task, tmp_path)


def test_int8_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    task = make_task("classify", dataset="digits")
    with pytest.raises(ValueError, match="export the policy that it was made of"):
        export_onnx(quantise(ResponsePolicy(task, 16, 16)), task, tmp_path)


def test_a_folder_without_graphs_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    with pytest.raises(FileNotFoundError, match=MODEL):
        OnnxPolicy(tmp_path, make_task("caption"))
