"""Runs the command behind every number of docs/benchmarks.md and writes that page.

python -m benchmarks.numbers            runs all, writes docs/benchmarks.md and benchmarks/results.json
python -m benchmarks.numbers --only 3   runs one of them and keeps what is stored of the others

Those with real data need --data FOLDER: docs/public_sets.md says where each set can be had.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "benchmarks.md", ROOT / "benchmarks" / "results.json"
BEGIN, END = "<!-- numbers: written by `make numbers` -->", "<!-- end of numbers -->"

_DATA = "DATA"  # stands in a command for the folder of the real data

Result = dict[str, Any]


@dataclass(frozen=True)
class Number:
    """One entry of the section.

    Attributes:
        title: What is shown.
        command: The command, as a user types it.
        measure: Runs it and returns what it found, as JSON values.
        lines: That as lines of Markdown.
    """

    title: str
    command: str
    measure: Callable[[Sequence[str]], Result]
    lines: Callable[[Result], list[str]]


def program(name: str) -> str:
    """The program of this environment."""
    found = Path(sys.executable).with_name(name)
    return str(found) if found.exists() else shutil.which(name) or name


def run(words: Sequence[str]) -> tuple[subprocess.CompletedProcess[str], float]:
    """Runs a command in the root of the project; its output is kept, its progress shown."""
    begin = time.monotonic()
    done = subprocess.run(
        [program(words[0]), *words[1:]], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    return done, time.monotonic() - begin


def from_json(words: Sequence[str]) -> Result:
    """What a command with ``--json`` printed."""
    done, seconds = run(words)
    try:
        found: Result = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"{' '.join(words)} ended with status {done.returncode} and no JSON") from None
    return {"seconds": seconds, "found": found}


def from_tests(words: Sequence[str]) -> Result:
    """The closing line of pytest."""
    done, seconds = run(words)
    closing = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    return {"seconds": seconds, "closing": closing[-1].strip("= ") if closing else "no test ran"}


def from_demo(words: Sequence[str]) -> Result:
    """What the runs of the demonstration stored."""
    with tempfile.TemporaryDirectory() as folder:
        done, seconds = run([*words, "--out", folder])
        runs = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*/run.json"))]
    if done.returncode or not runs:
        raise RuntimeError(f"the demonstration failed with status {done.returncode}")
    return {"seconds": seconds, "evaluations": [one["evaluation"] for one in runs]}


def demo_lines(result: Result) -> list[str]:
    """The table that the demonstration ends with."""
    said = [
        f"{result['seconds']:.0f} s in all; mean utility and reward on held-out items [95 %]:",
        "",
        "| environment | policy | utility (truth) | reward (annotator) |",
        "|---|---|---|---|",
    ]
    for evaluation in result["evaluations"]:
        for name, numbers in evaluation["policies"].items():
            cells = [interval(numbers[part]) for part in ("utility", "reward")]
            said.append(f"| {evaluation['id']} | {name} | {cells[0]} | {cells[1]} |")
    return said


def interval(numbers: Result) -> str:
    """A mean with its interval."""
    return f"{numbers['mean']:.3f} [{numbers['low']:.3f}, {numbers['high']:.3f}]"


def agents_lines(result: Result) -> list[str]:
    """Utility on both kinds of feedback, and their quotient."""
    found = result["found"]
    said = [
        f"{len(found['runs'][0]['utility'])} seeds, {found['steps']:,} steps, {found['items']} test items; "
        f"bars {found['targets']['utility']} and {found['targets']['share']}: **{verdict(found['met'])}**",
        "",
        "| | utility [95 %] |",
        "|---|---|",
    ]
    said += [f"| trained on {runs['feedback']} | {interval(runs['interval'])} |" for runs in found["runs"]]
    return [*said, f"| share of the truth | {interval(found['share'])} |", *busy_lines(found)]


def busy_lines(found: Result) -> list[str]:
    """Why the machine counted as busy, each reason in a paragraph."""
    return [line for reason in found.get("busy", ()) for line in ("", f"Busy machine: {reason}.")]


def throughput_lines(result: Result) -> list[str]:
    """Speeds, quotients, scaling and the limit of the memory."""
    found = result["found"]
    said = speed_lines("side, in turns", found["sides"])
    said += ["", "| | best peer | quotient [95 %] | bar | |", "|---|---|---|---|---|"]
    for c in found["comparisons"]:
        r = c["ratio"]
        said.append(
            f"| {c['name']} | {c['peer']} | {r['value']:.1f} [{r['low']:.1f}, {r['high']:.1f}] "
            f"| {c['target']:g} (goal {c['goal']:g}) | **{verdict(c['met'])}** |"
        )
    said += [
        "",
        f"Time a row-step at large sizes: **{verdict(found['scaling_met'])}**; memory: "
        f"**{verdict(found['memory_met'])}**.",
        "",
        "| rows | ns a row-step | over the least | observation MB | memory growth over observation |",
        "|---|---|---|---|---|",
    ]
    for r in found["scaling"]:
        growth = "unknown" if r["buffers"] is None else f"{r['buffers']:.2f}"
        said.append(
            f"| {r['rows']:,} | {r['nanoseconds']:,.0f} | {r['quickest']:.2f} "
            f"| {r['observation_bytes'] / 1e6:,.1f} | {growth} |"
        )
    b = found["bandwidth"]
    said += [
        "",
        f"Plain copies run at {b['bytes_per_second'] / 1e9:.1f} GB/s; our speed over the speed of copying "
        f"what must be written is {b['least_ratio']:.2f}, over that of copying whole observations "
        f"{b['whole_ratio']:.2f}. {found['threads']} torch threads.",
    ]
    said += ["", "Every peer at each number of rows, one after the other:", ""]
    said += speed_lines("peer, first pass", found["first_pass"])
    said += [line for note in found["notes"] for line in ("", f"{note}.")]
    return [*said, *busy_lines(found)]


def speed_lines(title: str, sides: Sequence[Result]) -> list[str]:
    """Row-steps a second as a table."""
    said = [f"| {title} | rows | row-steps a second (median, quartiles) |", "|---|---|---|"]
    for side in sides:
        s = side["speed"]
        speed = f"{s['median']:,.0f} ({s['lower']:,.0f} to {s['upper']:,.0f})"
        said.append(f"| {side['name']} | {side['rows']:,} | {speed} |")
    return said


def report_lines(result: Result) -> list[str]:
    """The tables and sentences of a ``benchmarks.reports.Report``."""
    found = result["found"]
    said = [f"{result['seconds']:.0f} s; targets: **{verdict(found['met'])}**."]
    for table in found["tables"]:
        said += ["", f"{table['title']}:", "", f"| {' | '.join(table['columns'])} |"]
        said += [f"|{'---|' * len(table['columns'])}", *(f"| {' | '.join(row)} |" for row in table["rows"])]
    said += [line for note in found["lines"] for line in ("", f"{note.rstrip('.')}.")]
    return [*said, *busy_lines(found)]


def check_lines(result: Result) -> list[str]:
    """How many checks hold."""
    found = result["found"]
    outcomes = [outcome for outcomes in found["ids"].values() for outcome in outcomes]
    held = sum(outcome["holds"] for outcome in outcomes)
    return [f"{held} of {len(outcomes)} checks of {len(found['ids'])} ids hold ({result['seconds']:.0f} s)."]


def test_lines(result: Result) -> list[str]:
    """The closing line of the tests."""
    return [f"{result['closing']}."]


def verdict(met: bool | None) -> str:
    """In a word."""
    return "not measured" if met is None else "met" if met else "missed"


NUMBERS = (
    Number("The demonstration", "mm-envs demo", from_demo, demo_lines),
    Number("Real digits, trained on noisy ratings", "mm-envs bench agents --json", from_json, agents_lines),
    Number("Throughput", "mm-envs bench throughput --json", from_json, throughput_lines),
    Number("Every registered id under every checker", "mm-envs check --json", from_json, check_lines),
    Number(
        "Batch invariance bit for bit, and golden digests of v0",
        "pytest tests/mm_envs/engine/test_batch_invariance.py tests/mm_envs/engine/test_golden.py -q",
        from_tests,
        test_lines,
    ),
    Number(
        "The device path copies nothing to the host",
        "pytest tests/mm_envs/engine/test_device_path.py -q",
        from_tests,
        test_lines,
    ),
    *(
        Number(title, f"mm-envs bench {name}{' --data DATA' * data} --json", from_json, report_lines)
        for title, name, data in (
            ("Three modalities, each of them needed", "modalities --threads 1", True),
            ("Real pictures, sounds and videos with words", "real-sets --threads 1", True),
            ("Metrics agree with their authors and with people", "metrics", True),
            ("Speed of the metrics", "metric-speed", True),
            ("Malformed files are refused in one sentence", "malformed", False),
            ("Killed trainings resume exactly", "kills", False),
            ("Teachers, queries and ensembles", "teachers --threads 1", False),
            ("Learning who to trust from single votes", "label-efficiency --threads 1", False),
            ("Reward models on a policy that was trained later", "later-policy --threads 1", False),
            ("Beside real people", "people --threads 1", True),
            ("Speed of reward models", "reward-speed --threads 1", False),
        )
    ),
    Number(
        "A learned judge cannot reach the truth",
        "pytest tests/feedback/test_blindness.py -q",
        from_tests,
        test_lines,
    ),
    Number(
        "Nothing said is lost or counted twice",
        "mm-envs bench store --json",
        from_json,
        report_lines,
    ),
)


def section(results: dict[str, Result]) -> str:
    """The section as Markdown."""
    machine = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    accelerator = machine.get("accelerator") or "no accelerator"
    said = [f"Measured on: {machine['processor']}, {machine['cores']} cores, {accelerator}; {packages}.", ""]
    for i, number in enumerate(NUMBERS, 1):
        said += [f"### {i}. {number.title}", f"`{number.command}`", ""]
        said += [*(number.lines(results[str(i)]) if str(i) in results else ["not measured"]), ""]
    return "\n".join(said)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, stores, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbered = [str(i) for i in range(1, len(NUMBERS) + 1)]
    parser.add_argument("--only", nargs="*", choices=numbered, help="which to measure; none: only write")
    parser.add_argument("--data", type=Path, help="the folder that holds the sets of real data")
    options = parser.parse_args(argv)
    wanted = numbered if options.only is None else options.only
    chosen = {i: NUMBERS[int(i) - 1].command.split() for i in wanted}
    if options.data is None and any(_DATA in words for words in chosen.values()):
        parser.error("some of them read real data: say where with --data FOLDER")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = vars(describe())
    for i, words in chosen.items():
        number = NUMBERS[int(i) - 1]
        print(f"{i}. {number.command}", file=sys.stderr)
        results[i] = number.measure([str(options.data) if word == _DATA else word for word in words])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{section(results)}{END}{after}")


if __name__ == "__main__":
    main()
