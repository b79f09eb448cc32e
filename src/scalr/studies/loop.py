"""The loop of every study: choose settings, decide on the gate, train every arm twice, judge it once.

Which kind of study it is, is up to the `Task`; comparisons of the results are in `results`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from scalr.foundation import Advance, Board, Cache, Checkpoints
from scalr.studies.protocol import ArmName, Choice, Fitted, Material, Task

Result = TypeVar("Result")
Example = TypeVar("Example")


@dataclass(frozen=True, slots=True, eq=False)
class SeedResults(Generic[ArmName, Result]):
    """Everything that was judged with one seed.

    Attributes:
        arms: By arm, in the order of the task.
        references: By name, reference points that are no arms.
    """

    arms: Mapping[ArmName, Result]
    references: Mapping[str, Result]


@dataclass(frozen=True, slots=True, eq=False)
class StudyResults(Generic[ArmName, Choice, Result, Example]):
    """A finished loop.

    Attributes:
        choice: What the validation periods chose, the gate included.
        seeds: One per seed.
        example: What the task shows of the first seed's folds.
    """

    choice: Choice
    seeds: tuple[SeedResults[ArmName, Result], ...]
    example: Example

    def of(self, arm: ArmName) -> tuple[Result, ...]:
        """Return an arm's results, one per seed."""
        return tuple(seed.arms[arm] for seed in self.seeds)


def run_study(
    task: Task[ArmName, Choice, Material, Fitted, Result, Example],
    *,
    threads: int,
    board: Board,
    pieces: Checkpoints | None = None,
) -> StudyResults[ArmName, Choice, Result, Example]:
    """Carry out a study.

    Settings and the gate are chosen on the validation periods of the first seeds. Then, for each seed and arm: train
    on the validation fold, train anew on the test fold, and judge once, `scalr` behind the gate.

    Args:
        task: The kind of study.
        threads: Arms trained at a time; the results do not depend on it.
        board: Shows the progress.
        pieces: Finished seeds of an earlier run, and where to store those that finish now.
    """
    pieces, n_fits = pieces or Checkpoints(), 2 * len(task.arms)
    advance = board.stage(*task.choosing_stage)
    choice = task.gate(task.choose(advance), advance)
    advance = board.stage("training and judging", n_fits * len(task.seeds), "fits")
    runs = [_SeedRun(task, choice, seed, advance) for seed in task.seeds]
    stored = [pieces.get(f"seed-{run.seed}") for run in runs]
    fresh = _judge_side_by_side([run for run, values in zip(runs, stored, strict=True) if values is None], threads)
    seeds: list[SeedResults[ArmName, Result]] = []
    for run, values in zip(runs, stored, strict=True):
        if values is None:
            seeds.append(next(fresh))
            pieces.put(f"seed-{run.seed}", _plain(seeds[-1]))
        else:
            advance(n_fits)
            seeds.append(_restored(task, values))
        if run is runs[0]:
            example = task.example(choice, run.folds())
        run.release()
    return StudyResults(choice, tuple(seeds), example)


class _SeedRun(Generic[ArmName, Choice, Material, Fitted, Result, Example]):
    """One seed: folds made on first use, and arms that threads may run side by side."""

    def __init__(
        self,
        task: Task[ArmName, Choice, Material, Fitted, Result, Example],
        choice: Choice,
        seed: int,
        advance: Advance,
    ) -> None:
        self.seed, self.arms = seed, task.arms
        self._task, self._choice, self._advance = task, choice, advance
        self._folds: Cache[tuple[Material, Material]] = Cache(1)
        self._real_only: Future[Fitted] = Future()

    def folds(self) -> tuple[Material, Material]:
        """Return the validation and the test fold."""
        return self._folds.get("folds", lambda: self._task.folds(self._choice, self.seed))

    def release(self) -> None:
        """Free the folds."""
        self._folds = Cache(1)

    def judged(self, arm: ArmName) -> Result:
        """Train an arm on both folds and judge it; behind a gate `scalr` waits for `real_only`."""
        try:
            fitted = self._fitted(arm)
        except BaseException as error:
            if arm == "real_only":
                self._real_only.set_exception(error)
            raise
        test, openings = self.folds()[1], self._choice.openings
        if arm == "real_only":
            self._real_only.set_result(fitted)
        elif arm == "scalr" and openings:
            fitted = self._task.serve(fitted, self._real_only.result(), test, openings)
        return self._task.judge(self._choice, arm, fitted, test)

    def references(self) -> Mapping[str, Result]:
        return self._task.references(self._choice, self.folds()[1])

    def _fitted(self, arm: ArmName) -> Fitted:
        validation, test = self.folds()
        early = self._task.fit(self._choice, arm, validation, None)
        self._advance(1)
        late = self._task.fit(self._choice, arm, test, early)
        self._advance(1)
        return late


def _judge_side_by_side(
    runs: Sequence[_SeedRun[ArmName, Choice, Material, Fitted, Result, Example]], threads: int
) -> Iterator[SeedResults[ArmName, Result]]:
    """Yield the results of one seed after another.

    Arms of the next seed start while the last arms of a seed still run, so that no thread is idle. `scalr` starts last,
    since it may wait for `real_only`.
    """
    jobs = [(run, arm) for run in runs for arm in sorted(run.arms, key=lambda arm: arm == "scalr")]
    with ThreadPoolExecutor(threads) as pool:
        judged = pool.map(lambda job: job[0].judged(job[1]), jobs)
        for run in runs:
            results = {arm: next(judged) for run_of_arm, arm in jobs if run_of_arm is run}
            yield SeedResults({arm: results[arm] for arm in run.arms}, run.references())


def _plain(results: SeedResults[ArmName, Any]) -> dict[str, Any]:
    """Return the results of a seed as nested plain values and arrays."""
    return {
        kind: {name: asdict(result) for name, result in group.items()}
        for kind, group in (("arms", results.arms), ("references", results.references))
    }


def _restored(
    task: Task[ArmName, Choice, Material, Fitted, Result, Example], values: Mapping[str, Any]
) -> SeedResults[ArmName, Result]:
    """Return the results that `_plain` described."""
    arms = {arm: task.restored(values["arms"][arm]) for arm in task.arms}
    return SeedResults(arms, {name: task.restored(result) for name, result in values["references"].items()})
