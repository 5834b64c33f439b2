"""Runs experiments.

python -m benchmarks.experiments NAME           runs one, or goes on with it, and prints its report;
                                                several such processes share the work
python -m benchmarks.experiments all --write    runs all, stores the results and writes docs/benchmarks/
python -m benchmarks.experiments none --write   only writes the pages of the stored results
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import BENCHMARKS
from benchmarks.experiment import Context, Experiment, Refusal
from benchmarks.experiments import EXPERIMENTS, pages
from mm_envs.names import resolve
from mm_envs.optional import MissingPackage


def main(argv: Sequence[str] | None = None) -> None:
    """Runs, prints, and writes where ``--write`` is given."""
    known = {**BENCHMARKS, **EXPERIMENTS}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=[*known, "all", "none"], metavar="NAME", help=", ".join(known))
    parser.add_argument("--data", type=Path, help="the folder of the sets of real data")
    parser.add_argument("--cells", type=Path, default=Path("runs/experiments"), help="where cells are kept")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--seeds", type=int, help="another number of seeds")
    parser.add_argument("--quick", action="store_true", help="small cells: shows that everything runs")
    parser.add_argument("--write", action="store_true", help="store the result and write docs/benchmarks/")
    options = parser.parse_args(argv)
    if options.seeds is not None and options.seeds < 1:
        parser.error(f"--seeds {options.seeds} is below 1: give the number of seeds")
    if options.quick and options.write:
        parser.error("--quick measures nothing that could be written: leave out --write")
    context = Context(options.data, lambda message: print(f"measuring {message}", file=sys.stderr))
    for name in known if options.name == "all" else [] if options.name == "none" else [options.name]:
        experiment: Experiment = resolve("experiment", name, known)
        experiment = experiment.changed({}, range(options.seeds) if options.seeds else None)
        folder = options.cells / ("quick" if options.quick else "full") / name
        try:
            findings = experiment.run(folder, context, quick=options.quick, threads=options.threads)
        except (FileNotFoundError, MissingPackage, Refusal) as error:
            parser.exit(1, f"{name}: {error}\n")
        report = experiment.report(findings, command(name, options))
        print(report.markdown())
        if options.write:
            pages.store(name, report)
    if options.write:
        pages.write()


def command(name: str, options: argparse.Namespace) -> str:
    """What measures an experiment again."""
    folder = " --data DATA" if options.data is not None else ""
    seeds = f" --seeds {options.seeds}" if options.seeds else ""
    return f"python -m benchmarks.experiments {name}{folder} --threads {options.threads}{seeds}"


if __name__ == "__main__":
    main()
