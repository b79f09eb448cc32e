"""Sweeps: change a setting over a few points, train and judge at each, compare the result with the paper's claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise, product
from typing import Any, TypeVar

import numpy as np

from scalr.evaluation import Evaluation, Fold, evaluate, fit_saturation, split, train
from scalr.foundation import Board, SilentBoard, Steps
from scalr.logs import Pair
from scalr.studies.arms import Synthesis
from scalr.studies.choosing.choice import Choice
from scalr.studies.choosing.races import Journal
from scalr.studies.events import EventTask, judging_protocol
from scalr.studies.findings.comparisons import BASELINE, METRIC
from scalr.studies.results import compare_arms, means, over_seeds
from scalr.studies.sweeps.claims import CLAIMS, RULE, claim_finding, contrast, is_monotone
from scalr.studies.sweeps.points import (
    DRAWS,
    HIDE,
    NAMES,
    SAME_TOTAL,
    Point,
    checked_names,
    contrasts_of,
    linked_fold,
    points_of,
)
from scalr.synthesis import SyntheticEvents, synthetic_weights

SWEEPS_SCHEMA = "scalr.sweeps/1"
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PointFit:
    """What a point trains with; points with equal fits train once."""

    key: tuple[str, ...]
    steps: Steps = field(compare=False)
    same_total: bool
    linked: float
    hidden: float


@dataclass(frozen=True, slots=True, eq=False)
class SweepRun:
    """One fit with one seed.

    Attributes:
        epochs: Epochs of training, chosen on the validation fold.
        evaluation: Metrics on the test fold.
        events: Number of synthetic events in the test fold.
        item_coverage: Share of the target items among them, in [0, 1].
        weight: Their total weight in training, λ and shrinkage included.
        marginals: Effect of alignment, per marginal; empty without alignment.
    """

    epochs: int
    evaluation: Evaluation
    events: int
    item_coverage: float
    weight: float
    marginals: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Sweeps:
    """Finished sweeps.

    Attributes:
        choice: What the validation periods chose; its `steps` are the base settings.
        fold: The first seed's test fold.
        base: Runs with the base settings, one per seed.
        real_only: By share of the overlap users whose target history is hidden, runs with real events alone, one per
            seed.
        points: By sweep, its points, each with one run per seed.
    """

    choice: Choice
    fold: Fold
    base: tuple[SweepRun, ...]
    real_only: Mapping[float, tuple[SweepRun, ...]]
    points: Mapping[str, tuple[tuple[Point, tuple[SweepRun, ...]], ...]]

    def to_json(self) -> dict[str, Any]:
        """Return `sweeps.json`: protocol, and by sweep its points, contrasts, fit, claim and finding."""
        return {
            "schema": SWEEPS_SCHEMA,
            "protocol": self._protocol(),
            "real_only": _metrics(self.real_only[self.choice.steps.split.hide_overlap]),
            "sweeps": {name: self._sweep(name) for name in self.points},
        }

    def _protocol(self) -> dict[str, Any]:
        steps = self.choice.steps
        seeds = list(range(steps.seed, steps.seed + len(self.base)))
        return {
            **judging_protocol(self.fold, steps, seeds),
            "tuning": "settings of training as real events alone chose them on validation periods, for all points; "
            "passes chosen by each point and seed there; nothing else is tuned per point, also where a "
            "point hides other users; no gate",
            "finding": RULE,
            "same_total": "total training weight of the synthetic events as with the base settings",
            "base": steps.model_dump(mode="json", exclude={"seed", "study"}),
        }

    def _sweep(self, name: str) -> dict[str, Any]:
        points = {point.label: (point, runs) for point, runs in self.points[name]}
        evaluations = {label: [run.evaluation for run in runs] for label, (_, runs) in points.items()}
        content: dict[str, Any] = {
            "points": [
                {
                    "setting": point.setting(),
                    "label": label,
                    "base": runs is self.base,
                    **_facts(runs),
                    "metrics": _metrics(runs),
                    "comparison": _comparison(evaluations[label], [one.evaluation for one in self._baseline(point)]),
                    **(self._own_fold(point) if HIDE in point.changes else {}),
                }
                for label, (point, runs) in points.items()
            ],
            "contrasts": [
                row
                for label, against in contrasts_of(name, list(points))
                for row in compare_arms(
                    {against: evaluations[against], label: evaluations[label]},
                    over_seeds,
                    metrics=[METRIC],
                    baseline=against,
                    headline="",
                )
            ],
        }
        content["fit"] = _volume_fits(content) if name == "volume" else None
        outcome, sentence = claim_finding(name, content)
        return {**content, "claim": CLAIMS[name], "outcome": outcome, "finding": sentence}

    def _baseline(self, point: Point) -> tuple[SweepRun, ...]:
        """Return the runs of real events alone on the folds of a point."""
        return self.real_only[point.changes.get(HIDE, self.choice.steps.split.hide_overlap)]

    def _own_fold(self, point: Point) -> dict[str, Any]:
        """Return what a point with folds of its own adds: real events alone there, and judged users by segment."""
        real = self._baseline(point)
        users = {segment: [run.evaluation.users[segment] for run in real] for segment in real[0].evaluation.users}
        return {"real_only": _metrics(real), "judged_users": users}


def sweep(
    pair: Pair,
    steps: Steps | None = None,
    names: Iterable[str] = NAMES,
    *,
    threads: int = 1,
    board: Board | None = None,
    journal: Journal | None = None,
) -> Sweeps:
    """Change one setting at a time, and compare each point with real events alone on the test period.

    As in a study, validation periods choose the training settings (and with the translator `auto` all others); these
    are the base settings. Real events alone train once per seed, and points with equal settings train once. At λ = 0
    the training settings are those of real events alone, so that the point equals the baseline bit for bit. A point
    that hides the target history of other users has folds of its own, and real events alone train on these too.

    Args:
        pair: The whole logs.
        steps: Base settings; of `study` only seeds and trials matter, there is no gate. Defaults if None.
        names: Names of sweeps, from `NAMES`.
        threads: Points trained at a time; the results do not depend on it.
        board: Shows the progress.
        journal: Trials that are known already.

    Raises:
        ConfigError: If a name is unknown.
        InputError: If the logs cannot be cut as the settings say.
    """
    names, board, steps = (
        checked_names(names),
        board or SilentBoard(),
        (steps or Steps()).changed({"study.gate": False}),
    )
    seeds = range(steps.seed, steps.seed + steps.study.seeds)
    task = EventTask(pair, steps, threads=threads, journal=journal or Journal(), arms=("real_only", "scalr"))
    choice = task.choose(board.stage(*task.choosing_stage))
    base = _fit(Point("base"), choice)
    points = {name: points_of(name, choice.steps, pair) for name in names}
    fits = {name: [_fit(point, choice) for point in of_sweep] for name, of_sweep in points.items()}
    distinct = list(dict.fromkeys((base, *(fit for of_sweep in fits.values() for fit in of_sweep))))
    shares = list(dict.fromkeys(fit.hidden for fit in distinct))  # the base share first
    advance = board.stage("sweeping", 2 * len(seeds) * (len(distinct) + len(shares)), "fits")
    runs: dict[PointFit, list[SweepRun]] = {fit: [] for fit in distinct}
    real_only: dict[float, list[SweepRun]] = {share: [] for share in shares}
    first: Fold | None = None
    for seed, share in product(seeds, shares):
        folds = split(pair, choice.steps.changed({HIDE: share}).split, seed)
        first = first or folds.test
        own = (None, *(fit for fit in distinct if fit.hidden == share))
        linked = {fit.linked for fit in own if fit is not None}
        validation, test = (
            _FoldFits(fold, seed, choice, _linked(pair, fold, linked, seed), threads, advance)
            for fold in (folds.validation, folds.test)
        )
        epochs = validation.each(own, validation.epochs)
        for fit, judged in test.each(own, partial(test.run, epochs)).items():
            (real_only[share] if fit is None else runs[fit]).append(judged)
    assert first is not None  # seeds >= 1
    done = {fit: tuple(per_seed) for fit, per_seed in runs.items()}
    by_sweep = {name: tuple((p, done[f]) for p, f in zip(points[name], fits[name], strict=True)) for name in names}
    return Sweeps(choice, first, done[base], {share: tuple(own) for share, own in real_only.items()}, by_sweep)


def _linked(pair: Pair, fold: Fold, shares: Iterable[float], seed: int) -> dict[float, Fold]:
    """Return the fold by share of the overlap users who are linked, for the shares below 1."""
    return {share: linked_fold(fold, pair.overlap_users, share, seed) for share in shares if share < 1}


class _FoldFits:
    """Trains and judges the fits of one fold and seed; threads may share it."""

    def __init__(
        self,
        fold: Fold,
        seed: int,
        choice: Choice,
        linked: Mapping[float, Fold],
        threads: int,
        advance: Callable[[int], None],
    ) -> None:
        self._fold, self._seed, self._choice, self._threads, self._advance = fold, seed, choice, threads, advance
        whole = Synthesis(fold, seed, threads=threads)
        self._base_total = self._total(whole.scalr(choice.steps), choice.steps)
        self._synthesis = {1.0: whole} | {share: Synthesis(one, seed) for share, one in linked.items()}

    def each(
        self, fits: Iterable[PointFit | None], apply: Callable[[PointFit | None], Value]
    ) -> dict[PointFit | None, Value]:
        """Apply a function to every fit, several at a time; the fit None is real events alone."""

        def one(fit: PointFit | None) -> Value:
            value = apply(fit)
            self._advance(1)
            return value

        fits = list(fits)
        with ThreadPoolExecutor(self._threads) as pool:
            return dict(zip(fits, pool.map(one, fits), strict=True))

    def epochs(self, fit: PointFit | None) -> int:
        """Return the epochs that early stopping on the judged pairs chooses."""
        steps, events = self._material(fit)
        return train(self._fold, events, steps.train, self._seed).epochs

    def run(self, chosen: Mapping[PointFit | None, int], fit: PointFit | None) -> SweepRun:
        """Train for the chosen number of epochs and judge."""
        epochs = chosen[fit]
        steps, events = self._material(fit)
        trained = train(self._fold, events, steps.train, self._seed, epochs=epochs)
        evaluation = evaluate(trained.model, self._fold, self._choice.steps.evaluate, self._seed)
        if events is None:
            return SweepRun(epochs, evaluation, 0, 0.0, 0.0)
        aligned = (receipt.details.get("marginals", ()) for receipt in events.receipts if receipt.stage == "align")
        weight = self._total(events, steps)
        return SweepRun(epochs, evaluation, len(events), events.item_coverage(), weight, tuple(next(aligned, ())))

    def _material(self, fit: PointFit | None) -> tuple[Steps, SyntheticEvents | None]:
        return (self._choice.of("real_only"), None) if fit is None else (fit.steps, self._events(fit))

    def _events(self, fit: PointFit) -> SyntheticEvents:
        events = self._synthesis[fit.linked].scalr(fit.steps)
        total = self._total(events, fit.steps)
        if not fit.same_total or total <= 0:
            return events
        return replace(events, weight=events.weight * np.float32(self._base_total / total))

    def _total(self, events: SyntheticEvents, steps: Steps) -> float:
        weight = synthetic_weights(events, self._fold.pair.target, steps.train)
        return float((np.minimum(weight, 1.0) if steps.train.objective == "thinned" else weight).sum())


def _fit(point: Point, choice: Choice) -> PointFit:
    base = choice.steps
    steps = base.changed(point.changes)
    if steps.train.synthetic_weight == 0:
        baseline = choice.of("real_only").train.model_copy(update={"synthetic_weight": 0.0})
        steps = steps.model_copy(update={"train": baseline})
    key = _digests(steps)
    return PointFit(key, steps, point.same_total and key != _digests(base), point.linked, steps.split.hide_overlap)


def _digests(steps: Steps) -> tuple[str, ...]:
    return steps.translate.digest(), steps.sample.digest(), steps.refine.digest(), steps.train.digest()


def _facts(runs: Sequence[SweepRun]) -> dict[str, Any]:
    """Return figures of the synthetic events of a point, means over seeds."""
    marginals = [run.marginals for run in runs]
    aligned = [
        {"by": marginal["by"]}
        | {
            key: _mean([of_seed[place][key] for of_seed in marginals])
            for key in marginal
            if key.startswith(("total_variation", "wasserstein"))
        }
        for place, marginal in enumerate(marginals[0])
    ]
    return {
        "synthetic_events": float(np.mean([run.events for run in runs])),
        "item_coverage": float(np.mean([run.item_coverage for run in runs])),
        "synthetic_weight": float(np.mean([run.weight for run in runs])),
        "epochs": [run.epochs for run in runs],
        "alignment": aligned,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def _metrics(runs: Sequence[SweepRun]) -> dict[str, Any]:
    return means([run.evaluation for run in runs])


def _comparison(point: Sequence[Evaluation], real: Sequence[Evaluation]) -> dict[str, dict[str, Any]]:
    """Return the relative changes of a point against real events only, by segment and metric."""
    by_segment: dict[str, dict[str, Any]] = {}
    for row in compare_arms({BASELINE: real, "point": point}, over_seeds, headline=""):
        change = {name: row[name] for name in ("relative_change", "interval", "level", "p_value")}
        by_segment.setdefault(row["segment"], {})[row["metric"]] = change
    return by_segment


def _volume_fits(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fit a curve to the mean normalized entropy over draws, at a constant weight per event and in total."""
    fits = {}
    for curve, same in (("per_event", False), ("total", True)):
        points = [point for point in content["points"] if point["label"].endswith(SAME_TOTAL) == same]
        labels = [point["label"] for point in points]
        losses = np.array([point["metrics"]["all"][METRIC]["mean"] for point in points], np.float64)
        steps = [step for a, b in pairwise(labels) if (step := contrast(content, b, a)) is not None]
        middle = len(losses) // 2
        fits[curve] = {
            "volumes": list(DRAWS),
            "labels": labels,
            **fit_saturation(np.array(DRAWS, np.float64), losses).to_json(),
            "gains": {
                "first_half": float(losses[0] - losses[middle]),
                "second_half": float(losses[middle] - losses[-1]),
            },
            "monotone": is_monotone(steps, contrast(content, labels[-1], labels[0])),
        }
    return fits
