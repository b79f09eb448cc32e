"""The study of impression logs: do synthetic events improve conversion prediction, and are probabilities calibrated?

Everything is judged on real impressions of the test period. Settings are chosen, and calibrations fitted, on real
impressions of the validation period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation import (
    SEGMENTS,
    ImpressionFold,
    Judgement,
    fit_isotonic,
    fit_log_odds_shift,
    impression_folds,
    item_columns,
    judge,
    one_thread_each,
    user_keys,
)
from scalr.foundation import Advance, Board, ConfigError, ConversionArm, Floats, Keys, SilentBoard, Steps
from scalr.logs import Pair
from scalr.studies.choosing.masses import AUTO, ImpressionChoice, MassTrial, MassTrials, choose_masses, n_fits
from scalr.studies.gate import COMPARED_ARMS, Opening, half_of, is_augmented, open_segments
from scalr.studies.impression_rows import FoldRows
from scalr.studies.loop import run_study
from scalr.studies.results import IMPRESSION_METRICS, compare_arms, means, over_seeds_and_users, reliability

CONVERSIONS_SCHEMA = "scalr.conversions/1"
METHODS = ("raw", "analytic", "isotonic")


@dataclass(frozen=True, slots=True, eq=False)
class FittedImpressions:
    """The probabilities of an arm's model on the impressions of a fold.

    Attributes:
        label: Shape (n,), labels of these impressions.
        probabilities: By calibration method, shape (n,); "raw" alone on a validation fold, all `METHODS` on a test
            fold, calibrated on the validation fold.
        synthetic_rows: Distinct synthetic (user, item, label) that the model was trained on.
        item_coverage: Share of the items with conversions that are in its synthetic events, in [0, 1].
        shift: Log-odds that the analytic calibration adds; 0 on a validation fold.
        ungated: Behind a gate, the arm for everybody; None without a gate.
    """

    label: npt.NDArray[np.int8]
    probabilities: Mapping[str, Floats]
    synthetic_rows: int
    item_coverage: float
    shift: float = 0.0
    ungated: FittedImpressions | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImpressionResult:
    """One arm trained and judged with one seed.

    Attributes:
        judgements: By calibration method ("raw", "analytic", "isotonic"), on the test period.
        probabilities: By the same names, shape (n,), of the judged impressions.
        synthetic_rows: Distinct synthetic (user, item, label) that it was trained on.
        item_coverage: Share of the items with conversions that are in its synthetic events, in [0, 1].
        shift: Log-odds that the analytic calibration adds.
        ungated: Behind a gate, the result of the arm for everybody; None without a gate.
    """

    judgements: Mapping[str, Judgement]
    probabilities: Mapping[str, Floats]
    synthetic_rows: int
    item_coverage: float
    shift: float
    ungated: ImpressionResult | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImpressionLosses:
    """A judgement of impressions, user by user, for the gate."""

    judgement: Judgement
    fold: ImpressionFold

    def user_sums(self, segment: str, metric: str) -> tuple[Floats, Keys]:
        """Return the log loss summed per user of a segment, and the users' keys, shape (n,) each."""
        assert metric == "log_loss"
        is_member = np.isin(self.judgement.user, self.fold.user[self.fold.in_segment(segment)])
        return self.judgement.loss[segment][is_member], user_keys(self.fold, self.judgement.user[is_member])


class ImpressionTask:
    """How a study of impression logs chooses, trains, serves and judges; a `protocol.Task`.

    Args:
        pair: The whole logs; the target is a log of impressions.
        steps: Settings.
        threads: Fits at a time while settings are chosen; the results do not depend on it.
    """

    def __init__(self, pair: Pair, steps: Steps, *, threads: int) -> None:
        self._pair, self._steps, self._threads = pair, steps, threads
        self.arms: Sequence[ConversionArm] = tuple(dict.fromkeys(("real_only", *steps.conversions.arms)))
        self.seeds: Sequence[int] = range(steps.seed, steps.seed + steps.study.seeds)
        self.columns = item_columns(pair.items, len(pair.target.items))

    @property
    def is_gated(self) -> bool:
        """Return whether the study has a gate; by default with the translator `auto` only."""
        gate = self._steps.study.gate
        return "scalr" in self.arms and (self._steps.translate.translator == AUTO if gate is None else gate)

    @property
    def choosing_stage(self) -> tuple[str, int | None, str]:
        """Return name, total and unit of the progress of `choose`."""
        n_seeds = min(self._steps.study.choosing_seeds, len(self.seeds))
        return "choosing on validation", n_fits(self._steps, len(self.arms), n_seeds), "fits"

    @cached_property
    def _validation(self) -> dict[int, ImpressionFold]:
        seeds = self.seeds[: self._steps.study.choosing_seeds]
        return {seed: self._split(seed)[0] for seed in seeds}

    def choose(self, advance: Advance) -> ImpressionChoice:
        """Choose translator, penalties and masses, with a gate on half of the users; see `masses`."""
        folds = {seed: half_of(fold) if self.is_gated else fold for seed, fold in self._validation.items()}
        trials = MassTrials(folds, self.columns, threads=self._threads, advance=advance)
        return choose_masses(trials, self._steps, self.arms)

    def gate(self, choice: ImpressionChoice, advance: Advance) -> ImpressionChoice:
        """Let the other half of the users of the validation folds decide for whom synthetic events are on."""
        if not self.is_gated:
            return choice
        judged: dict[str, list[ImpressionLosses]] = {arm: [] for arm in COMPARED_ARMS}
        for seed, fold in self._validation.items():
            half = half_of(fold, judge=True)
            rows = FoldRows(half, choice.steps, seed, self.columns)
            with ThreadPoolExecutor(self._threads) as pool:
                losses = pool.map(partial(_losses, rows, choice), COMPARED_ARMS)
                for arm, one in zip(COMPARED_ARMS, losses, strict=True):
                    judged[arm].append(one)
        return replace(choice, openings=open_segments(judged))

    def folds(self, choice: ImpressionChoice, seed: int) -> tuple[FoldRows, FoldRows]:
        """Return the validation and the test fold with the rows of every arm."""
        validation, test = (FoldRows(fold, choice.steps, seed, self.columns) for fold in self._split(seed))
        return validation, test

    def fit(
        self, choice: ImpressionChoice, arm: ConversionArm, fold: FoldRows, earlier: FittedImpressions | None
    ) -> FittedImpressions:
        """Fit the model of an arm; on the test fold, calibrate its probabilities on the validation fold."""
        setting, impressions = choice.best(arm), fold.judged
        model = fold.fit(arm, setting.mass, setting.l2)
        raw = model.score(impressions.user, impressions.item)
        fitted = FittedImpressions(impressions.label, {"raw": raw}, *fold.coverage(arm))
        if earlier is None:
            return fitted
        is_synthetic = np.zeros(len(earlier.label), np.bool_)  # all are real impressions of the log
        shift = fit_log_odds_shift(earlier.label, trained_rate=model.trained_rate, is_synthetic=is_synthetic)
        isotonic = fit_isotonic(earlier.label, earlier.probabilities["raw"], is_synthetic=is_synthetic)
        probabilities = {"raw": raw, "analytic": shift.apply(raw), "isotonic": isotonic.apply(raw)}
        return replace(fitted, probabilities=probabilities, shift=shift.shift)

    def serve(
        self,
        augmented: FittedImpressions,
        real_only: FittedImpressions,
        fold: FoldRows,
        openings: Sequence[Opening],
    ) -> FittedImpressions:
        """Return the probabilities of the model of real impressions alone in closed segments."""
        is_open = is_augmented(~fold.judged.is_warm, openings)
        probabilities = {
            method: np.where(is_open, ours, real_only.probabilities[method])
            for method, ours in augmented.probabilities.items()
        }
        return replace(augmented, probabilities=probabilities, ungated=augmented)

    def judge(
        self, choice: ImpressionChoice, arm: ConversionArm, fitted: FittedImpressions, fold: FoldRows
    ) -> ImpressionResult:
        """Judge the probabilities of every calibration method on the test fold."""
        return ImpressionResult(
            {method: judge(fold.judged, stated) for method, stated in fitted.probabilities.items()},
            fitted.probabilities,
            fitted.synthetic_rows,
            fitted.item_coverage,
            fitted.shift,
            None if fitted.ungated is None else self.judge(choice, arm, fitted.ungated, fold),
        )

    def references(self, choice: ImpressionChoice, fold: FoldRows) -> dict[str, ImpressionResult]:
        """Return no references: normalized entropy 1 is the base rate."""
        return {}

    def example(
        self, choice: ImpressionChoice, folds: tuple[FoldRows, FoldRows]
    ) -> tuple[ImpressionFold, ImpressionFold]:
        """Return the validation and the test fold."""
        return folds[0].judged, folds[1].judged

    def restored(self, values: Mapping[str, Any]) -> ImpressionResult:
        """Return the result whose fields were stored."""
        judgements = {method: Judgement(**judgement) for method, judgement in values["judgements"].items()}
        ungated = None if values["ungated"] is None else self.restored(values["ungated"])
        return ImpressionResult(**{**values, "judgements": judgements, "ungated": ungated})

    def _split(self, seed: int) -> tuple[ImpressionFold, ImpressionFold]:
        delay = self._steps.conversions.label_delay_days
        return impression_folds(self._pair, self._steps.split, seed, label_delay_days=delay)


def _losses(rows: FoldRows, choice: ImpressionChoice, arm: ConversionArm) -> ImpressionLosses:
    """Judge an arm on a validation fold; shuffled users have the settings of `scalr`."""
    setting = choice.best("real_only" if arm == "real_only" else "scalr")
    model = rows.fit(arm, setting.mass, setting.l2)
    return ImpressionLosses(judge(rows.judged, model.score(rows.judged.user, rows.judged.item)), rows.judged)


@dataclass(frozen=True, slots=True, eq=False)
class ConversionStudy:
    """A finished study of impressions.

    Attributes:
        results: By arm, one result per seed.
        trials: By arm, every setting that was tried, in order.
        chosen: By arm, the best of its trials.
        translators: Validation log loss by translator; empty unless the study chose the translator.
        folds: The first seed's validation and test fold.
        steps: The settings, those that were chosen included.
        columns: Columns of items that the model uses.
        gate: For whom synthetic events are on, warm and cold users; empty without a gate.
        ungated: With a gate the results of `scalr` for everybody, one per seed; empty without a gate.
    """

    results: Mapping[ConversionArm, tuple[ImpressionResult, ...]]
    trials: Mapping[ConversionArm, tuple[MassTrial, ...]]
    chosen: Mapping[ConversionArm, MassTrial]
    translators: Mapping[str, float]
    folds: tuple[ImpressionFold, ImpressionFold]
    steps: Steps
    columns: tuple[str, ...]
    gate: tuple[Opening, ...] = ()
    ungated: tuple[ImpressionResult, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return `study.json`: protocol, choice, arms by segment, comparisons, calibration."""
        judged = {
            arm: {method: [one.judgements[method] for one in seeds] for method in METHODS}
            for arm, seeds in self.results.items()
        }
        raw: dict[str, list[Judgement]] = {arm: by_method["raw"] for arm, by_method in judged.items()}
        calibrated = {
            arm: {method: means(judgements) for method, judgements in by_method.items()}
            for arm, by_method in judged.items()
        }
        last: ConversionArm = "scalr" if "scalr" in self.results else "real_only"
        return {
            "schema": CONVERSIONS_SCHEMA,
            "protocol": self._protocol(),
            "choice": {
                "translators": dict(self.translators) or None,
                "chosen": {arm: {"mass": one.mass, "l2": one.l2} for arm, one in self.chosen.items()},
                "gate": [opening.to_json() for opening in self.gate],
                "validation_log_loss": {arm: one.log_loss for arm, one in self.chosen.items()},
                "trials": {
                    arm: [{"mass": one.mass, "l2": one.l2, "log_loss": one.log_loss} for one in trials]
                    for arm, trials in self.trials.items()
                },
            },
            "without_gate": self._without_gate(raw["real_only"]),
            "synthetic_rows": {arm: [one.synthetic_rows for one in seeds] for arm, seeds in self.results.items()},
            "item_coverage": {arm: [one.item_coverage for one in seeds] for arm, seeds in self.results.items()},
            "segments": {arm: by_method["raw"] for arm, by_method in calibrated.items()},
            "comparisons": self._compared(raw),
            "calibration": {
                "log_odds_shift": {arm: [one.shift for one in seeds] for arm, seeds in self.results.items()},
                "segments": calibrated,
                "reliability": reliability(self.folds[1], self.results[last][0].probabilities) | {"arm": last},
            },
        }

    def _without_gate(self, real_only: list[Judgement]) -> list[dict[str, Any]] | None:
        """Return what `scalr` would have changed without the gate; None without a gate."""
        if not self.gate:
            return None
        return self._compared({"real_only": real_only, "scalr": [one.judgements["raw"] for one in self.ungated]})

    def _compared(self, judged: Mapping[str, Sequence[Judgement]]) -> list[dict[str, Any]]:
        return compare_arms(judged, over_seeds_and_users(self.folds[1]), metrics=IMPRESSION_METRICS)

    def _protocol(self) -> dict[str, Any]:
        steps, (validation, test) = self.steps, self.folds
        return {
            "seeds": list(range(steps.seed, steps.seed + steps.study.seeds)),
            "choosing_seeds": min(steps.study.choosing_seeds, steps.study.seeds),
            "split": steps.split.model_dump(mode="json"),
            "split_rule": test.fold.rule.to_json(),
            "judged": "real impressions of the test period with their labels",
            "tuning": "each arm chose its own penalty and mass on real impressions of the validation period"
            + (", those of half of the users; the other half decided on the gate" if self.gate else ""),
            "calibration": "fitted on real impressions of the validation period",
            "fitted": _size(test.fold.pair.target.label),
            "validation": _size(validation.label),
            "test": {
                segment: _size(test.label[test.in_segment(segment)])
                | {"users": len(np.unique(test.user[test.in_segment(segment)]))}
                for segment in SEGMENTS
            },
            "columns": list(self.columns),
            "settings": steps.model_dump(mode="json", include={"translate", "sample", "refine", "conversions"})
            | {"objective": steps.train.objective, "shrinkage": steps.train.shrinkage},
        }


def _size(label: npt.NDArray[np.int8] | None) -> dict[str, int]:
    assert label is not None
    return {"impressions": len(label), "conversions": int(label.sum())}


def conversion_study(
    pair: Pair, steps: Steps | None = None, *, threads: int = 1, board: Board | None = None
) -> ConversionStudy:
    """Train a logistic model on impressions with and without synthetic rows, over seeds; judge it on real impressions.

    On the validation periods of the first seeds each arm tries every penalty at the middle mass, then every other mass
    at the best penalty, and takes the pair with the lowest mean log loss. With the translator `auto`, `scalr` first
    tries three translators; controls are made from its events. With a gate, half of the users choose, and the other
    half decide for whom synthetic events are on; closed segments are served by the model of real impressions alone.
    Then, for each seed and arm: train before the validation period, fit calibrations on it, train anew before the test
    period, judge once, raw and calibrated.

    Args:
        pair: The whole logs; the target is a log of impressions.
        steps: Settings; of these `seed`, `split`, `translate`, `sample`, `refine`, `train.objective`,
            `train.shrinkage`, `study.seeds`, `study.choosing_seeds`, `study.gate` and `conversions` are used.
        threads: Fits at a time; the results do not depend on it.
        board: Shows the progress.

    Raises:
        InputError: If the logs cannot be cut as the settings say, or are no log of impressions.
        MissingExtraError: Without the extra `models` (scikit-learn).
    """
    steps = steps or Steps()
    if steps.train.objective == "thinned":
        raise ConfigError(
            "objective is 'thinned', which a study of conversions does not support",
            expected="'auxiliary' or 'joint': its model takes weights",
            fix="omit --objective",
        )
    with one_thread_each():
        task = ImpressionTask(pair, steps, threads=threads)
        done = run_study(task, threads=threads, board=board or SilentBoard())
    choice = done.choice
    return ConversionStudy(
        results={arm: done.of(arm) for arm in task.arms},
        trials=choice.trials,
        chosen={arm: choice.best(arm) for arm in task.arms},
        translators=choice.translators,
        folds=done.example,
        steps=choice.steps,
        columns=task.columns.names,
        gate=choice.openings,
        ungated=tuple(one.ungated for one in done.of("scalr") if one.ungated is not None) if choice.openings else (),
    )
