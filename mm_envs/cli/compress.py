"""``mm-envs compress``: a trained policy becomes smaller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from mm_envs.cli.output import console, print_json, shown
from mm_envs.cli.settings import setting_of
from mm_envs.cli.threads import torch_threads

if TYPE_CHECKING:
    from rich.table import Table

    from agents.compression.compress import Compressed


@dataclass(frozen=True)
class Compress:
    """Make a trained policy smaller: int8 weights, pruning, distillation or ONNX graphs.

    Writes a folder that mm-envs evaluate takes (but for onnx), and compression.json: parameters, bytes,
    latency and true utility on test items, before and after. For policies of whole answers, on the CPU.

    Attributes:
        folder: A folder that mm-envs train wrote.
        out: The folder to write to; with --how all, one folder a method in it.
        how: int8 quantises linear layers and GRUs; prune removes small weights; distil trains a smaller
            policy to answer alike; onnx writes graphs for onnxruntime.
        share: The share of the weights that prune removes.
        rows: Remove whole hidden units instead of single weights.
        finetune: Contexts that a pruned policy learns from, to answer as before; 0 for none.
        student: The share of the parameters that a distilled policy has, at most.
        steps: Contexts that it learns from.
        temperature: Of the distributions that it learns.
        episodes: Test items to evaluate on, at most.
        seed: Decides its first weights, and the order of items.
        threads: Threads of torch and onnxruntime, which latency depends on; 0 for their own choice.
        data: The folder of the files that the items are made of, if it is not where it was in training.
        layout: How to read it; see mm-envs data describe.
        overwrite: Write into a folder that is not empty.
        json: Print JSON instead of a table.
    """

    folder: tyro.conf.Positional[str]
    out: Path
    how: Literal["int8", "prune", "distil", "onnx", "all"] = "int8"
    share: float = 0.5
    rows: bool = False
    finetune: int = 0
    student: float = 0.25
    steps: int = 50_000
    temperature: float = 2.0
    episodes: int = 1000
    seed: int = 0
    threads: int = 1
    data: Path | None = None
    layout: str | None = None
    overwrite: bool = False
    json: bool = False

    def run(self) -> int:
        """Compresses, measures and prints."""
        from agents.compression.compress import CompressSettings, compress
        from agents.compression.distil import DistilSettings

        settings = CompressSettings(
            share=self.share,
            rows=self.rows,
            finetune=self.finetune,
            student=self.student,
            distil=DistilSettings(steps=self.steps, temperature=self.temperature),
            seed=self.seed,
        )
        # No feedback is asked: only the truth is measured.
        setting = setting_of(self.folder, feedback="truth", data=self.data, layout=self.layout)
        with torch_threads(self.threads), console(json_output=True).status("compressing") as status:

            def watch(how: str, step: int, steps: int) -> None:
                status.update(f"{how}: {step:,} of {steps:,} contexts")

            result = compress(setting, self.out, self.how, settings, self.episodes, self.overwrite, watch)
        if self.json:
            print_json(result.to_dict())
        else:
            console().print(compression_table(result))
        for how, reason in result.skipped.items():
            console(json_output=True).print(f"[yellow]without {how}:[/] {shown(reason)}", soft_wrap=True)
        return 0


def compression_table(result: Compressed) -> Table:
    """One line a policy."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    title = f"{result.id}: {result.episodes:,} items of the test split, {threads}"
    # Narrow gaps: a terminal of 80 columns holds every number whole.
    style: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "padding": (0, 0, 0, 1)}
    table = Table(box=SIMPLE_HEAD, title=title, **style)
    table.add_column("policy", no_wrap=True)
    sizes = [f"ms, {size}\nat once" for size in result.measured[0].latency]
    for name in ("parameters\nnot 0", "kB", *sizes, "utility [95 %]", "same\nanswers"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in result.measured:
        latency = [f"{1000 * seconds:.2f}" for seconds in one.latency.values()]
        size = (f"{one.nonzero:,}", f"{one.bytes / 1000:,.0f}")
        table.add_row(one.name, *size, *latency, str(one.utility), f"{one.same:.3f}")
    return table
