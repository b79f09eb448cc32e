"""Settings of a study of impressions, chosen on validation periods: translator, penalty and mass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from scalr.evaluation import ImpressionFold, ItemColumns, judge
from scalr.foundation import Advance, ConversionArm, Steps
from scalr.studies.gate import Opening
from scalr.studies.impression_rows import FoldRows

TRANSLATORS = ("cooccurrence", "conditioned", "factor")  # that the translator `auto` tries
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class MassTrial:
    """One setting of an arm, judged on the validation periods of the choosing seeds.

    Attributes:
        mass: Weight of the synthetic events as a multiple of the weight of the real conversions; 0 without any.
        l2: Penalty.
        log_loss: Mean over impressions and seeds, in nats.
    """

    mass: float
    l2: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class ImpressionChoice:
    """Settings that the validation periods chose.

    Attributes:
        steps: The settings; the translator is never `auto`.
        translators: Validation log loss by translator; empty unless the translator was `auto`.
        trials: By arm, every setting that was tried, in order.
        openings: The gate, by segment; empty without a gate.
    """

    steps: Steps
    translators: Mapping[str, float]
    trials: Mapping[ConversionArm, tuple[MassTrial, ...]]
    openings: tuple[Opening, ...] = ()

    def best(self, arm: ConversionArm) -> MassTrial:
        """Return the trial of an arm with the lowest log loss."""
        return lowest_loss(self.trials[arm])


def lowest_loss(trials: Sequence[MassTrial]) -> MassTrial:
    """Return the trial with the lowest log loss; the first wins ties."""
    return min(trials, key=lambda trial: trial.log_loss)


class MassTrials:
    """Fits models on the validation folds of the choosing seeds and judges them there.

    Args:
        folds: By seed, its validation fold.
        columns: Columns of the item table.
        threads: Fits at a time; the results do not depend on it.
        advance: Called with the number of fits since its last call.
    """

    def __init__(
        self, folds: Mapping[int, ImpressionFold], columns: ItemColumns, *, threads: int, advance: Advance
    ) -> None:
        self._folds, self._columns, self._threads, self._advance = folds, columns, threads, advance

    def rows(self, steps: Steps) -> list[FoldRows]:
        """Return the rows of every fold with some settings."""
        return [FoldRows(fold, steps, seed, self._columns) for seed, fold in self._folds.items()]

    def run(
        self, folds: Sequence[FoldRows], arm: ConversionArm, settings: Sequence[tuple[float, float]]
    ) -> tuple[MassTrial, ...]:
        """Return a trial per setting (mass, penalty) of an arm, in order."""
        jobs = [(fold, arm, mass, l2) for mass, l2 in settings for fold in folds]
        with ThreadPoolExecutor(self._threads) as pool:
            losses = np.array(list(pool.map(self._loss, jobs))).reshape(len(settings), len(folds))
        means = losses.mean(axis=1)
        return tuple(MassTrial(mass, l2, float(mean)) for (mass, l2), mean in zip(settings, means, strict=True))

    def _loss(self, job: tuple[FoldRows, ConversionArm, float, float]) -> float:
        rows, arm, mass, l2 = job
        fold, model = rows.judged, rows.fit(arm, mass, l2)
        self._advance(1)
        loss = judge(fold, model.score(fold.user, fold.item)).segments["all"]["log_loss"]
        assert loss is not None  # the folds are refused unless their impressions have both labels
        return loss


def n_fits(steps: Steps, n_arms: int, n_seeds: int) -> int:
    """Return the number of fits of `choose_masses`."""
    n_penalties, n_masses = len(steps.conversions.penalties), len(steps.conversions.masses)
    n_translators = len(TRANSLATORS) if steps.translate.translator == AUTO and n_arms > 1 else 0
    return n_seeds * (n_arms * n_penalties + (n_arms - 1) * (n_masses - 1) + n_translators)


def choose_masses(trials: MassTrials, steps: Steps, arms: Sequence[ConversionArm]) -> ImpressionChoice:
    """Choose translator, penalties and masses.

    Each arm tries every penalty at the middle mass, then every other mass at the best penalty. With the translator
    `auto`, `scalr` first tries `TRANSLATORS` at the best penalty of real events alone; controls are made from its
    events.

    Args:
        trials: Fits models and judges them on the validation periods.
        steps: Settings to start from.
        arms: The arms, `real_only` first.
    """
    masses, penalties = steps.conversions.masses, steps.conversions.penalties
    middle = masses[(len(masses) - 1) // 2]
    tried = {arms[0]: trials.run(trials.rows(steps), arms[0], [(0.0, l2) for l2 in penalties])}
    translators: dict[str, float] = {}
    if steps.translate.translator == AUTO and len(arms) > 1:
        setting = middle, lowest_loss(tried[arms[0]]).l2
        for name in TRANSLATORS:
            rows = trials.rows(steps.changed({"translate.translator": name}))
            translators[name] = trials.run(rows, "scalr", [setting])[0].log_loss
        steps = steps.changed({"translate.translator": min(translators, key=lambda name: translators[name])})
    rows = trials.rows(steps)
    for arm in arms[1:]:
        first = trials.run(rows, arm, [(middle, l2) for l2 in penalties])
        l2 = lowest_loss(first).l2
        tried[arm] = first + trials.run(rows, arm, [(mass, l2) for mass in masses if mass != middle])
    return ImpressionChoice(steps, translators, tried)
