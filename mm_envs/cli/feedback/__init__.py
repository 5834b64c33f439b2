"""``mm-envs feedback``: collect what annotators say, learn a reward from it, look at it, hand it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from mm_envs.cli.feedback.collect import Collect
from mm_envs.cli.feedback.exchange import Export, Import
from mm_envs.cli.feedback.fit import Fit
from mm_envs.cli.feedback.report import Report


@dataclass(frozen=True)
class Feedback:
    """Collect feedback, fit a reward model to it, report on it, and hand it on."""

    action: tyro.conf.OmitSubcommandPrefixes[
        tyro.conf.OmitArgPrefixes[
            Annotated[Collect, tyro.conf.subcommand("collect")]
            | Annotated[Fit, tyro.conf.subcommand("fit")]
            | Annotated[Report, tyro.conf.subcommand("report")]
            | Annotated[Export, tyro.conf.subcommand("export")]
            | Annotated[Import, tyro.conf.subcommand("import")]
        ]
    ]

    def run(self) -> int:
        """Does what was asked for."""
        return self.action.run()
