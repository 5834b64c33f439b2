"""The report of a conformance run: one line per rule, as a table or as JSON values."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["holds", "fails", "skipped"]


class Fault(Exception):
    """A rule is broken; the message is one sentence and the cure."""


class Departure(Fault):
    """A rule is broken that Gymnasium's own vector environments break too: a fault only if strict."""


class Skip(Exception):
    """A rule that cannot be tested here; the message names the reason and what it needs."""


@dataclass(frozen=True)
class Check:
    """The outcome of one rule: name, what was seen (of a failure with its cure), the rule in a sentence."""

    name: str
    status: Status
    detail: str
    rule: str = ""


@dataclass(frozen=True)
class Report:
    """The outcome of all rules for one vector environment, in the order of testing.

    Example:
        >>> print(Report("envs", (Check("close", "holds", "closed twice"),)))
        envs
          holds    close                   closed twice
        1 hold, 0 fail, 0 skipped
    """

    title: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing fails; skipped rules are no failures."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The rules that do not hold."""
        return self.of("fails")

    def of(self, status: Status) -> tuple[Check, ...]:
        """The rules with one status."""
        return tuple(check for check in self.checks if check.status == status)

    def __str__(self) -> str:
        lines = [self.title, *(_line(check) for check in self.checks)]
        counts = [len(self.of(status)) for status in ("holds", "fails", "skipped")]
        return "\n".join([*lines, "{} hold, {} fail, {} skipped".format(*counts)])

    def message(self) -> str:
        """The failures as the text of an error, each with its cure and the rule."""
        head = f"{self.title} breaks {len(self.failures)} of {len(self.checks)} rules:"
        return "\n".join([head, *(f"- {c.name}: {c.detail}\n  (rule: {c.rule})" for c in self.failures)])

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        checks = [asdict(check) for check in self.checks]
        return {"title": self.title, "ok": self.ok, "checks": checks}


def _line(check: Check) -> str:
    shown = "FAILS" if check.status == "fails" else check.status
    return textwrap.fill(
        check.detail,
        width=110,
        initial_indent=f"  {shown:8} {check.name:23} ",
        subsequent_indent=" " * 35,
        break_on_hyphens=False,
    )
