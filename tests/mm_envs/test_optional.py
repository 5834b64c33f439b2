"""Without the extras every environment works, and whatever needs an extra names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mm_envs
from mm_envs.__main__ import main
from mm_envs.optional import EXTRAS, MissingPackage, require

ROOT = Path(mm_envs.__file__).parents[1]


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_every_environment_works_without_the_extras() -> None:
    found = run(
        f"import sys; sys.modules.update(dict.fromkeys({list(EXTRAS)}))\n"
        "import gymnasium as gym, mm_envs\n"
        "for name in mm_envs.CONFIGURATIONS:\n"
        "    env = gym.make(name)\n"
        "    env.reset(seed=1)\n"
        "    env.step(env.action_space.sample())\n"
        "    env.close()\n"
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("rich", ("list",)),
        ("tyro", ("--help",)),
        ("sqlalchemy", ("feedback", "report", "--db", "none.db", "--out", "page.html")),
        ("tensorboard", ("train", "MMClassify-v0", "--steps", "64", "--out", "run")),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "feedback.store", raising=False)
    assert main(words) == 2
    message = f'{package} is not installed: run `pip install "mm-envs[{EXTRAS[package]}]"`'
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("package", EXTRAS)
def test_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    require(package)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=rf'pip install "mm-envs\[{EXTRAS[package]}\]"'):
        require(package)


def test_the_extras_are_those_of_the_distribution() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for package, extra in EXTRAS.items():
        block = text.partition(f"\n{extra} = [\n")[2].partition("\n]")[0]
        assert f'"{package}>=' in block


def test_the_first_step_imports_next_to_nothing_beyond_torch_and_gymnasium() -> None:
    found = run(
        "import sys, torch, gymnasium as gym\n"
        "before = set(sys.modules)\n"
        "import mm_envs\n"
        "env = gym.make('MMCaption-v0')\n"
        "env.reset(seed=1)\n"
        "env.step(env.action_space.sample())\n"
        "print(*set(sys.modules) - before)\n"
    )
    names = found.stdout.split()
    # scipy, scikit-learn, matplotlib, Stable-Baselines3 and others are imported by what needs them.
    packages = {name.partition(".")[0].removeprefix("_") for name in names}
    assert packages - set(sys.stdlib_module_names) == {"mm_envs", "feedback"}, found.stderr
    assert len(names) < 65
