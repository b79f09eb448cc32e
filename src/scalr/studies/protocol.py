"""What a kind of study provides, so that `loop.run_study` can carry it out: events and impressions are two tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from scalr.foundation import Advance
from scalr.studies.gate import Opening

ArmName = TypeVar("ArmName", bound=str)


class TaskChoice(Protocol):
    """What the validation periods chose."""

    @property
    def openings(self) -> Sequence[Opening]:
        """Return the gate, by segment; empty without a gate."""


Choice = TypeVar("Choice", bound=TaskChoice)
Material = TypeVar("Material")
Fitted = TypeVar("Fitted")
Result_co = TypeVar("Result_co", covariant=True)
Example_co = TypeVar("Example_co", covariant=True)


class Task(Protocol[ArmName, Choice, Material, Fitted, Result_co, Example_co]):
    """A kind of study: how it chooses, trains, serves and judges.

    Methods do not change the task, so threads may share it.

    Type parameters:
        ArmName: Names of the arms.
        Choice: Settings of every arm, and the gate.
        Material: A fold with the rows that each arm trains on, made on first use.
        Fitted: An arm trained on a fold.
        Result_co: An arm judged with one seed; a dataclass, so that it can be stored.
        Example_co: What is shown of the first seed's folds.
    """

    @property
    def arms(self) -> Sequence[ArmName]:
        """Return the arms, `real_only` first."""

    @property
    def seeds(self) -> Sequence[int]:
        """Return the seeds."""

    @property
    def choosing_stage(self) -> tuple[str, int | None, str]:
        """Return name, total and unit of the progress of `choose` and `gate`."""

    def choose(self, advance: Advance) -> Choice:
        """Choose the settings of every arm on the validation periods of the first seeds, without a gate."""

    def gate(self, choice: Choice, advance: Advance) -> Choice:
        """Return the choice with its gate, decided by users who did not choose; unchanged in a study without a gate."""

    def folds(self, choice: Choice, seed: int) -> tuple[Material, Material]:
        """Return the validation and the test fold of a seed."""

    def fit(self, choice: Choice, arm: ArmName, fold: Material, earlier: Fitted | None) -> Fitted:
        """Train an arm.

        Args:
            choice: What the validation periods chose.
            arm: Name of the arm.
            fold: The validation fold, or the test fold.
            earlier: None for the validation fold; for the test fold, the arm as it was trained on the validation fold.
        """

    def serve(self, augmented: Fitted, real_only: Fitted, fold: Material, openings: Sequence[Opening]) -> Fitted:
        """Return what users get behind a gate: `augmented` in open segments, `real_only` in closed ones."""

    def judge(self, choice: Choice, arm: ArmName, fitted: Fitted, fold: Material) -> Result_co:
        """Judge a trained arm on the test fold."""

    def references(self, choice: Choice, fold: Material) -> Mapping[str, Result_co]:
        """Judge on the test fold the reference points that are no arms, by name; empty without any."""

    def example(self, choice: Choice, folds: tuple[Material, Material]) -> Example_co:
        """Return what the study shows of the first seed's folds."""

    def restored(self, values: Mapping[str, Any]) -> Result_co:
        """Return the result whose fields, by `dataclasses.asdict`, were stored."""
