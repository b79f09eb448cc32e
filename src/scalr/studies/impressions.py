"""Study a log of impressions: are conversions foretold better with synthetic events, and are probabilities true?

Everything is judged on real impressions of the test period. Settings are chosen, and calibrations fitted, on real
impressions of the validation period.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.evaluation import (
    ImpressionFold,
    ItemColumns,
    Judgement,
    Logistic,
    fit_isotonic,
    fit_log_odds_shift,
    impression_folds,
    item_columns,
    judge,
    one_thread_each,
)
from scalr.foundation import Board, ConfigError, ConversionArm, Floats, SilentBoard, Steps
from scalr.logs import Pair
from scalr.studies.gate import Opening, half_of, open_impression_segments, routed
from scalr.studies.impression_rows import Workshop
from scalr.studies.results import compared, means, reliability

CONVERSIONS_SCHEMA = "scalr.conversions/1"
TRANSLATORS = ("cooccurrence", "conditioned", "factor")  # that the translator `auto` tries
METHODS = ("raw", "analytic", "isotonic")


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of an arm, judged on the validation periods of the choosing seeds.

    Attributes:
        mass: Weight of the synthetic events as a multiple of that of the real conversions; 0 without any.
        l2: Penalty.
        log_loss: Mean over impressions and seeds, in nats.
    """

    mass: float
    l2: float
    log_loss: float


@dataclass(frozen=True, slots=True, eq=False)
class ArmSeed:
    """One arm trained and judged with one seed.

    Attributes:
        judgements: By way of calibrating ("raw", "analytic", "isotonic"), on the test period.
        probabilities: By the same names, shape (n,), of the judged impressions.
        synthetic_rows: Distinct synthetic (user, item, label) it was trained on.
        item_coverage: Share of the items with conversions that its synthetic events reach, in [0, 1].
        shift: Log-odds that the analytic calibration adds.
    """

    judgements: Mapping[str, Judgement]
    probabilities: Mapping[str, Floats]
    synthetic_rows: int
    item_coverage: float
    shift: float


@dataclass(frozen=True, slots=True, eq=False)
class ConversionStudy:
    """A finished study of conversions.

    Attributes:
        results: By arm, one per seed.
        trials: By arm, every setting tried, in order.
        chosen: By arm, the best of them.
        translators: Validation log loss by translator, where the study chose it; empty otherwise.
        folds: The first seed's validation and test fold.
        steps: The settings, chosen ones among them.
        columns: Columns of items that the model uses.
        gate: For whom synthetic events are on, warm and cold users; empty where there is no gate.
        ungated: With a gate the results of `scalr` for everybody, one per seed; empty without one.
    """

    results: Mapping[ConversionArm, tuple[ArmSeed, ...]]
    trials: Mapping[ConversionArm, tuple[Trial, ...]]
    chosen: Mapping[ConversionArm, Trial]
    translators: Mapping[str, float]
    folds: tuple[ImpressionFold, ImpressionFold]
    steps: Steps
    columns: tuple[str, ...]
    gate: tuple[Opening, ...] = ()
    ungated: tuple[ArmSeed, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return `study.json`: protocol, choice, arms by segment, comparisons, calibration."""
        raw: dict[str, list[Judgement]] = {
            arm: [one.judgements["raw"] for one in seeds] for arm, seeds in self.results.items()
        }
        calibrated = {
            arm: {method: means([one.judgements[method] for one in seeds]) for method in METHODS}
            for arm, seeds in self.results.items()
        }
        test = self.folds[1]
        last: ConversionArm = "scalr" if "scalr" in self.results else "real_only"
        return {
            "schema": CONVERSIONS_SCHEMA,
            "protocol": self._protocol(),
            "choice": {
                "translators": dict(self.translators) or None,
                "chosen": {arm: {"mass": one.mass, "l2": one.l2} for arm, one in self.chosen.items()},
                "gate": [one.to_json() for one in self.gate],
                "validation_log_loss": {arm: one.log_loss for arm, one in self.chosen.items()},
                "trials": {
                    arm: [{"mass": one.mass, "l2": one.l2, "log_loss": one.log_loss} for one in own]
                    for arm, own in self.trials.items()
                },
            },
            "without_gate": self._without_gate(raw["real_only"]),
            "synthetic_rows": {arm: [one.synthetic_rows for one in seeds] for arm, seeds in self.results.items()},
            "item_coverage": {arm: [one.item_coverage for one in seeds] for arm, seeds in self.results.items()},
            "segments": {arm: own["raw"] for arm, own in calibrated.items()},
            "comparisons": compared(raw, test),
            "calibration": {
                "log_odds_shift": {arm: [one.shift for one in seeds] for arm, seeds in self.results.items()},
                "segments": calibrated,
                "reliability": reliability(test, self.results[last][0].probabilities) | {"arm": last},
            },
        }

    def _without_gate(self, real_only: list[Judgement]) -> list[dict[str, Any]] | None:
        """Return what `scalr` would have changed without the gate; None where there is no gate."""
        if not self.gate:
            return None
        raw = {"real_only": real_only, "scalr": [one.judgements["raw"] for one in self.ungated]}
        return compared(raw, self.folds[1])

    def _protocol(self) -> dict[str, Any]:
        steps, (validation, test) = self.steps, self.folds
        return {
            "seeds": list(range(steps.seed, steps.seed + steps.study.seeds)),
            "choosing_seeds": min(steps.study.choosing_seeds, steps.study.seeds),
            "split": steps.split.model_dump(mode="json"),
            "judged": "real impressions of the test period with their labels",
            "tuning": "each arm chose its own penalty and mass on real impressions of the validation period"
            + (", those of half of the users; the other half decided on the gate" if self.gate else ""),
            "calibration": "fitted on real impressions of the validation period",
            "fitted": _size(test.fold.pair.target.label),
            "validation": _size(validation.label),
            "test": {
                segment: _size(test.label[test.in_segment(segment)])
                | {"users": len(np.unique(test.user[test.in_segment(segment)]))}
                for segment in ("all", "warm", "cold")
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
    tries `TRANSLATORS`; controls are made from its events. With a gate half of the users choose, and the other half
    decide for whom synthetic events are on; closed segments are served by the model of real impressions alone. Then,
    for each seed and arm: train before the validation period, fit calibrations on it, train anew before the test
    period, judge once, as it is and calibrated.

    Args:
        pair: The whole logs; the target is a log of impressions.
        steps: Settings; of these `seed`, `split`, `translate`, `sample`, `refine`, `train.objective`,
            `train.shrinkage`, `study.seeds`, `study.choosing_seeds`, `study.gate` and `conversions` are used.
        threads: Fits at a time; the results do not depend on it.
        board: Shown the progress.

    Raises:
        InputError: If the logs cannot be cut as asked, or are no log of impressions.
        MissingExtraError: Without the extra `models` (scikit-learn).
    """
    steps, board = steps or Steps(), board or SilentBoard()
    if steps.train.objective == "thinned":
        raise ConfigError(
            "objective is 'thinned', which a study of conversions does not have",
            expected="'auxiliary' or 'joint': its model takes weights",
            fix="leave --objective out",
        )
    with one_thread_each():
        return _study(pair, steps, threads, board)


def _study(pair: Pair, steps: Steps, threads: int, board: Board) -> ConversionStudy:
    arms: tuple[ConversionArm, ...] = tuple(dict.fromkeys(("real_only", *steps.conversions.arms)))
    seeds = range(steps.seed, steps.seed + steps.study.seeds)
    columns = item_columns(pair.items, len(pair.target.items))
    choosing = [_folds(pair, steps, seed)[0] for seed in seeds[: steps.study.choosing_seeds]]
    is_gated = "scalr" in arms and (
        steps.translate.translator == "auto" if steps.study.gate is None else steps.study.gate
    )
    halves = [half_of(fold) for fold in choosing] if is_gated else choosing
    n_penalties, n_masses = len(steps.conversions.penalties), len(steps.conversions.masses)
    n_translators = len(TRANSLATORS) if steps.translate.translator == "auto" and len(arms) > 1 else 0
    n_trials = len(choosing) * (len(arms) * n_penalties + (len(arms) - 1) * (n_masses - 1) + n_translators)
    advance = board.stage("choosing on validation", n_trials, "fits")
    own, translators, trials = _choose(halves, list(seeds), steps, arms, columns, threads, advance)
    chosen = {arm: min(tried, key=lambda one: one.log_loss) for arm, tried in trials.items()}
    gate: tuple[Opening, ...] = ()
    if is_gated:
        others = [half_of(fold, judge=True) for fold in choosing]
        gate = _openings(others, list(seeds), own, chosen, columns, threads)
    advance = board.stage("training and judging", 2 * len(seeds) * len(arms), "fits")
    results: dict[ConversionArm, list[ArmSeed]] = {arm: [] for arm in arms}
    ungated: list[ArmSeed] = []
    for seed in seeds:
        validation, test = _folds(pair, own, seed)
        workshops = [Workshop(fold, own, seed, columns) for fold in (validation, test)]

        def one(
            arm: ConversionArm, validation: ImpressionFold = validation, workshops: list[Workshop] = workshops
        ) -> ArmSeed:
            early, late = (workshop.fit(arm, chosen[arm].mass, chosen[arm].l2) for workshop in workshops)
            advance(2)
            return _judged(early, late, validation, workshops[1], arm)

        for workshop in workshops:
            workshop.prepare(arms)
        with ThreadPoolExecutor(threads) as pool:
            for arm, result in zip(arms, pool.map(one, arms), strict=True):
                results[arm].append(result)
        if gate:
            ungated.append(results["scalr"][-1])
            results["scalr"][-1] = _served(ungated[-1], results["real_only"][-1], test, gate)
    return ConversionStudy(
        {arm: tuple(each) for arm, each in results.items()}, trials, chosen, translators,
        _folds(pair, own, steps.seed), own, columns.names, gate, tuple(ungated),
    )  # fmt: skip


def _folds(pair: Pair, steps: Steps, seed: int) -> tuple[ImpressionFold, ImpressionFold]:
    return impression_folds(pair, steps.split, seed, label_delay_days=steps.conversions.label_delay_days)


def _choose(
    folds: list[ImpressionFold],
    seeds: list[int],
    steps: Steps,
    arms: tuple[ConversionArm, ...],
    columns: ItemColumns,
    threads: int,
    advance: Callable[[int], None],
) -> tuple[Steps, dict[str, float], dict[ConversionArm, tuple[Trial, ...]]]:
    """Return the settings with a translator, what each translator was worth, and the trials of every arm."""

    def losses(workshops: list[Workshop], arm: ConversionArm, settings: list[tuple[float, float]]) -> tuple[Trial, ...]:
        def loss(one: tuple[int, float, float]) -> float:
            place, mass, l2 = one
            fold, model = folds[place], workshops[place].fit(arm, mass, l2)
            advance(1)
            found = judge(fold, model.score(fold.user, fold.item)).segments["all"]["log_loss"]
            assert found is not None  # `split` sees to conversions in the period, the rate to the rest
            return found

        asked = [(place, mass, l2) for mass, l2 in settings for place in range(len(folds))]
        with ThreadPoolExecutor(threads) as pool:
            found = np.array(list(pool.map(loss, asked))).reshape(len(settings), len(folds))
        return tuple(Trial(mass, l2, float(own.mean())) for (mass, l2), own in zip(settings, found, strict=True))

    def workshops_of(own: Steps, needed: tuple[ConversionArm, ...]) -> list[Workshop]:
        made = [Workshop(fold, own, seed, columns) for fold, seed in zip(folds, seeds, strict=False)]
        for workshop in made:
            workshop.prepare(needed)
        return made

    bare = [(0.0, l2) for l2 in steps.conversions.penalties]
    trials: dict[ConversionArm, tuple[Trial, ...]] = {
        "real_only": losses(workshops_of(steps, ("real_only",)), "real_only", bare)
    }
    translators: dict[str, float] = {}
    masses = steps.conversions.masses
    middle = masses[(len(masses) - 1) // 2]
    if len(arms) == 1:
        return steps, translators, trials
    if steps.translate.translator == "auto":
        l2 = min(trials["real_only"], key=lambda one: one.log_loss).l2
        for name in TRANSLATORS:
            own = steps.changed({"translate.translator": name})
            translators[name] = losses(workshops_of(own, ("scalr",)), "scalr", [(middle, l2)])[0].log_loss
        steps = steps.changed({"translate.translator": min(translators, key=lambda name: translators[name])})
    workshops = workshops_of(steps, arms)
    for arm in arms[1:]:
        tried = losses(workshops, arm, [(middle, l2) for l2 in steps.conversions.penalties])
        l2 = min(tried, key=lambda one: one.log_loss).l2
        trials[arm] = tried + losses(workshops, arm, [(mass, l2) for mass in masses if mass != middle])
    return steps, translators, trials


def _openings(
    halves: list[ImpressionFold],
    seeds: list[int],
    steps: Steps,
    chosen: Mapping[ConversionArm, Trial],
    columns: ItemColumns,
    threads: int,
) -> tuple[Opening, ...]:
    """Let the judging users of the validation folds decide for whom synthetic events are on."""
    asked: dict[ConversionArm, Trial] = {
        "real_only": chosen["real_only"],
        "scalr": chosen["scalr"],
        "shuffled_users": chosen["scalr"],  # the same settings, so that nothing but the users differs
    }
    judged: dict[str, list[Judgement]] = {arm: [] for arm in asked}
    for half, seed in zip(halves, seeds, strict=False):
        workshop = Workshop(half, steps, seed, columns)
        workshop.prepare(tuple(asked))

        def one(arm: ConversionArm, half: ImpressionFold = half, workshop: Workshop = workshop) -> Judgement:
            model = workshop.fit(arm, asked[arm].mass, asked[arm].l2)
            return judge(half, model.score(half.user, half.item))

        with ThreadPoolExecutor(threads) as pool:
            for arm, judgement in zip(asked, pool.map(one, asked), strict=True):
                judged[arm].append(judgement)
    return open_impression_segments(judged, halves)


def _served(ours: ArmSeed, real: ArmSeed, test: ImpressionFold, gate: tuple[Opening, ...]) -> ArmSeed:
    """Return what users get: `ours` in open segments, the model of real impressions alone in closed ones."""
    stated = {
        method: routed(test, probabilities, real.probabilities[method], gate)
        for method, probabilities in ours.probabilities.items()
    }
    return replace(ours, judgements={method: judge(test, one) for method, one in stated.items()}, probabilities=stated)


def _judged(
    early: Logistic, late: Logistic, validation: ImpressionFold, workshop: Workshop, arm: ConversionArm
) -> ArmSeed:
    """Fit calibrations with the early model on the validation period, and judge the late one on the test period."""
    test = workshop.judged
    raw = late.score(test.user, test.item)
    is_synthetic = np.zeros(len(validation.label), np.bool_)  # impressions of the log, every one
    shift = fit_log_odds_shift(validation.label, trained_rate=late.trained_rate, is_synthetic=is_synthetic)
    steps = fit_isotonic(validation.label, early.score(validation.user, validation.item), is_synthetic=is_synthetic)
    probabilities = {"raw": raw, "analytic": shift.apply(raw), "isotonic": steps.apply(raw)}
    return ArmSeed(
        {method: judge(test, stated) for method, stated in probabilities.items()},
        probabilities,
        *workshop.reach(arm),
        shift.shift,
    )
