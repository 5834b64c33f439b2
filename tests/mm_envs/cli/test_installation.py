"""Faults of an installation are found, and each names its cure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mm_envs.cli import installation

ROOT = Path(installation.__file__).resolve().parents[2]


def _mm_envs(*words: str, path: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command with ``path`` before everything else on the import path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-m", "mm_envs", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, check=False)


def _stand_in(folder: Path, name: str, code: str = "", version: str = "", needs: str = "") -> None:
    """A package, and what pip would have written about it."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    if version:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {needs}"] if needs else []
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n")


def test_nothing_is_wrong_here() -> None:
    assert installation.faults() == []


@pytest.mark.parametrize("package", installation.PACKAGES)
def test_a_shadowing_folder_is_named_with_the_cure(tmp_path: Path, package: str) -> None:
    _stand_in(tmp_path, package)
    done = _mm_envs("list", path=tmp_path)
    assert done.returncode == 2
    assert str(tmp_path / package) in done.stderr
    assert f"'{package}'" in done.stderr
    assert "PYTHONPATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_shadowing_module_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "feedback.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "feedback", raising=False)
    message = installation.shadow("feedback", ROOT / "feedback")
    assert message is not None
    assert str(tmp_path / "feedback.py") in message
    assert "python -P" in message


def test_a_shadowing_distribution_is_to_be_uninstalled(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    _stand_in(site, "agents", version="9.9")
    done = _mm_envs("list", path=site)
    assert done.returncode == 2
    assert "pip uninstall agents" in done.stderr


def test_a_missing_package() -> None:
    message = installation.shadow("no_such_package_here", ROOT / "no_such_package_here")
    assert message is not None
    assert "pip install" in message


def test_an_overwritten_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(tmp_path, "agents", code="theirs = True\n")
    info = tmp_path / "mm_envs-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mm-envs\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("agents/__init__.py,sha256=AAAA,3\n")
    monkeypatch.setattr(installation, "_claimants", lambda package: ["other-agents"])
    monkeypatch.setattr(installation, "_location", lambda package: tmp_path / package)
    monkeypatch.syspath_prepend(str(tmp_path))
    message = installation.shadow("agents", tmp_path / "agents")
    assert message is not None
    assert "other-agents" in message
    digest = installation._digest(tmp_path / "agents" / "__init__.py")
    (info / "RECORD").write_text(f"agents/__init__.py,sha256={digest},3\n")
    assert installation.shadow("agents", tmp_path / "agents") is None


def test_help_does_not_import_torch(tmp_path: Path) -> None:
    _stand_in(tmp_path, "torch", 'raise RuntimeError("imported")', version="2.9.0")
    done = _mm_envs("--help", path=tmp_path)
    assert done.returncode == 0
    assert "train" in done.stdout
