"""``mm-envs feedback``: collect what annotators say, learn a reward from it, look at it, hand it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from mm_envs.cli.feedback.collect import Collect
from mm_envs.cli.feedback.fit import Fit


@dataclass(frozen=True)
class Feedback:
    """Collect feedback, fit a reward model to it, report on it, and hand it on."""

    action: tyro.conf.OmitSubcommandPrefixes[
        tyro.conf.OmitArgPrefixes[
            Annotated[Collect, tyro.conf.subcommand("collect")] | Annotated[Fit, tyro.conf.subcommand("fit")]
        ]
    ]

    def run(self) -> int:
        """Does what was asked for."""
        return self.action.run()
