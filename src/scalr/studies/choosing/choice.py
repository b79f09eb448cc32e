"""What the validation periods chose for every arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalr.evaluation import Strength
from scalr.foundation import RIVALS, Arm, Steps
from scalr.studies.choosing.races import Changes, Trial
from scalr.studies.gate import Opening, agreed


@dataclass(frozen=True, slots=True)
class Search:
    """What was tried for one arm.

    Attributes:
        rounds: By name of the round, its trials, best first; changes are counted from the settings at the start.
        chosen: All changes of the best settings.
        stopped: Why rounds were skipped; None if none was.
    """

    rounds: Mapping[str, tuple[Trial, ...]]
    chosen: Changes
    stopped: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the search for `study.json`."""
        rounds = {name: [trial.to_json() for trial in trials] for name, trials in self.rounds.items()}
        return {"chosen": dict(self.chosen), "stopped": self.stopped, "rounds": rounds}


@dataclass(frozen=True, slots=True)
class Choice:
    """Settings that the validation periods chose.

    Attributes:
        steps: Settings of `scalr`; the translator is never `auto`.
        own: Settings of the arms that chose for themselves: `real_only`, and with the translator `auto` the controls.
        searches: What was tried, by arm.
        rehearsed: By rehearsal, for whom it opens the gate; empty without a gate.
    """

    steps: Steps
    own: Mapping[Arm, Steps]
    searches: Mapping[str, Search]
    rehearsed: Mapping[str, tuple[Opening, ...]] = field(default_factory=dict)

    @property
    def openings(self) -> tuple[Opening, ...]:
        """Return the gate, by segment; empty without a gate."""
        return agreed(self.rehearsed) if self.rehearsed else ()

    def of(self, arm: Arm) -> Steps:
        """Return the settings of an arm; for a conventional method those that real events alone chose."""
        return self.own["real_only"] if arm in RIVALS else self.own.get(arm, self.steps)

    def strength(self, arm: Arm) -> Strength:
        """Return a conventional method's own settings."""
        return self.searches[arm].chosen
