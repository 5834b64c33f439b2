"""Parsing of the command line, and handling of errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Protocol

import tyro

from mm_envs.cli.arguments import UsageError
from mm_envs.cli.bench import Bench
from mm_envs.cli.check import Check
from mm_envs.cli.compare import Compare
from mm_envs.cli.compress import Compress
from mm_envs.cli.data import Data
from mm_envs.cli.demo import Demo
from mm_envs.cli.docs import Docs
from mm_envs.cli.evaluate import Evaluate
from mm_envs.cli.explain import Explain
from mm_envs.cli.feedback import Feedback
from mm_envs.cli.label import Label
from mm_envs.cli.list import List
from mm_envs.cli.output import console, shown
from mm_envs.cli.play import Play
from mm_envs.cli.replay import Replay
from mm_envs.cli.train import Train
from mm_envs.optional import MissingPackage

DESCRIPTION = """Multimodal tasks as Gymnasium environments whose reward comes from human feedback.

Start with: mm-envs list. With --debug any command shows where an error came from."""


class Command(Protocol):
    """A parsed command; its options are its fields."""

    def run(self) -> int:
        """Runs the command; returns the exit status."""
        ...


Commands = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Explain, tyro.conf.subcommand("explain")]
    | Annotated[Play, tyro.conf.subcommand("play")]
    | Annotated[Replay, tyro.conf.subcommand("replay")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Feedback, tyro.conf.subcommand("feedback")]
    | Annotated[Label, tyro.conf.subcommand("label")]
    | Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Compress, tyro.conf.subcommand("compress")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Docs, tyro.conf.subcommand("docs")]
)


def run(argv: Sequence[str]) -> int:
    """Parses and runs one command.

    Args:
        argv: The arguments after the name of the program.

    Returns:
        The exit status; 2 for wrong usage, 130 after an interrupt.
    """
    debug = "--debug" in argv
    words = [word for word in argv if word != "--debug"] or ["--help"]
    try:
        command: Command = tyro.cli(
            Commands,
            prog="mm-envs",
            description=DESCRIPTION,
            args=words,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except SystemExit as exit:
        return int(exit.code or 0)
    try:
        return command.run()
    except KeyboardInterrupt:
        print("mm-envs: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output is gone; Python would raise again when it flushes at exit.
        sys.stderr.close()
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            console(json_output=True).print(f"[bold red]mm-envs:[/] {_sentence(error)}", soft_wrap=True)
        return 2 if isinstance(error, (UsageError, MissingPackage)) else 1


def _sentence(error: Exception) -> str:
    message = str(error).strip() or "no message"
    # Our own errors are whole sentences; of others the type helps to understand them.
    ours = isinstance(error, (ValueError, FileNotFoundError, FileExistsError, MissingPackage))
    return shown(message if ours else f"{type(error).__name__}: {message} (--debug shows where)")
