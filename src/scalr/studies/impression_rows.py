"""What each arm of a study of impressions learns from, and the models that are fitted to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalr.evaluation import Design, ImpressionFold, ItemColumns, LabelledRows, Logistic, fit_logistic
from scalr.foundation import ConversionArm, Floats, NegativeSettings, Steps, rng
from scalr.logs import catalogue_of
from scalr.studies.arms import Synthesis
from scalr.synthesis import NegativeLaw, Rows, SyntheticEvents, synthetic_weights, with_negatives

CONVERSIONS_SCHEMA = "scalr.conversions/1"
TRANSLATORS = ("cooccurrence", "conditioned", "factor")  # that the translator `auto` tries
METHODS = ("raw", "analytic", "isotonic")


class Workshop:
    """Makes the rows of every arm of a fold and fits models to them.

    Args:
        judged: The fold; only its visible logs are looked at.
        steps: Settings.
        seed: Fixes draws, controls and negatives.
        columns: What is known about items.
    """

    def __init__(self, judged: ImpressionFold, steps: Steps, seed: int, columns: ItemColumns) -> None:
        self.judged, self._steps, self._seed, self._columns = judged, steps, seed, columns
        self._target = judged.fold.pair.target
        target = self._target
        assert target.label is not None  # `impression_folds` sees to it
        weight = np.ones(len(target)) if target.weight is None else target.weight.astype(np.float64)
        self._real = LabelledRows.summed(target.user, target.item, target.label, weight, synthetic=False)
        self._made: dict[ConversionArm, tuple[LabelledRows | None, Design]] = {}

    @property
    def _auxiliary(self) -> bool:
        return self._steps.train.objective == "auxiliary"

    def prepare(self, arms: tuple[ConversionArm, ...]) -> None:
        """Make the rows of some arms."""
        synthesis = Synthesis(self.judged.fold, self._seed)
        for arm in arms:
            events, _ = synthesis.arm(arm, self._steps)
            synthetic = None if events is None else self.synthetic_rows(events)
            rows = self._real if synthetic is None else self._real.joined(synthetic)
            target = self._target
            design = Design(rows, self._columns, len(target.users), len(target.items), auxiliary=self._auxiliary)
            self._made[arm] = (synthetic, design)

    def synthetic_rows(self, events: SyntheticEvents) -> LabelledRows | None:
        """Return synthetic events with their negative rows, at a total weight of 1 of the events; None without any.

        Raises:
            LeakError: If the events saw the judged period, or were drawn from other logs than the fold's.
        """
        self.judged.fold.guard(events.fitted_until, "the synthetic events")
        self.judged.fold.guard_log(events.pair.target.digest(), "the translation")
        shrunk = self._steps.train.model_copy(update={"synthetic_weight": 1.0})
        weight = synthetic_weights(events, self._target, shrunk)
        kept = rng.keyed_units(self._seed, rng.Purpose.THIN, events.keys()) < self._steps.conversions.most_events / max(
            len(events), 1
        )
        events, weight = events.take(kept), weight[kept]
        if weight.sum() <= 0:
            return None
        given = NegativeSettings(kind="rate", per_positive=self._steps.conversions.per_positive)
        law = NegativeLaw.of(self._target, given, self._seed)
        made = list(with_negatives(_own_rows(events, weight / weight.sum()), law))
        user, item = (np.concatenate([getattr(one, name) for one in made]) for name in ("user", "item"))
        label = np.concatenate([one.label for one in made if one.label is not None])
        total = np.concatenate([one.weight for one in made]).astype(np.float64)
        return LabelledRows.summed(user, item, label, total, synthetic=True)

    def rows(self, arm: ConversionArm, mass: float) -> LabelledRows:
        """Return the rows that an arm learns from, synthetic events weighing `mass` times the real conversions."""
        synthetic = self._made[arm][0]
        if synthetic is None:
            return self._real
        weight = synthetic.weight * (mass * float(self._real.weight[self._real.label == 1].sum()))
        return self._real.joined(replace(synthetic, weight=weight))

    def reach(self, arm: ConversionArm) -> tuple[int, float]:
        """Return an arm's synthetic rows, and the share of the catalogue that its synthetic events reach."""
        synthetic = self._made[arm][0]
        if synthetic is None:
            return 0, 0.0
        reached = len(np.unique(synthetic.item[synthetic.label == 1]))
        return len(synthetic), reached / max(len(catalogue_of(self._target)), 1)

    def fit(self, arm: ConversionArm, mass: float, l2: float) -> Logistic:
        """Fit the model of an arm that was prepared."""
        return fit_logistic(self.rows(arm, mass), self._made[arm][1], l2, auxiliary=self._auxiliary)


def _own_rows(events: SyntheticEvents, weight: Floats) -> Rows:
    """Return events as rows with users, items and weights of their own, which controls exchange."""
    source, of = events.pair.source, events.source_row
    return Rows(
        event=np.arange(len(events)),
        event_user=events.user,
        event_item=source.item[of],
        event_time=None,
        event_key=source.keys()[of],
        item=events.item,
        draw=events.draw,
        confidence=events.confidence,
        support=events.support,
        weight=weight.astype(np.float32),
    )
