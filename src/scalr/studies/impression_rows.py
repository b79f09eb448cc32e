"""What each arm of a study of impressions learns from, and the models that are fitted to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalr.evaluation import Design, ImpressionFold, ItemColumns, LabelledRows, Logistic, fit_logistic
from scalr.foundation import Cache, ConversionArm, Floats, NegativeSettings, Steps, rng
from scalr.logs import catalogue_of
from scalr.studies.arms import Synthesis
from scalr.synthesis import NegativeLaw, Rows, SyntheticEvents, synthetic_weights, with_negatives

CACHED_ARMS = 8  # more than there are arms


@dataclass(frozen=True, slots=True, eq=False)
class ArmRows:
    """What an arm of a fold learns from.

    Attributes:
        synthetic: Synthetic rows at a total weight of 1 of the events; None without any.
        design: Columns of the model for the real and the synthetic rows.
    """

    synthetic: LabelledRows | None
    design: Design


class FoldRows:
    """The rows of every arm of a fold, made on first use; threads may share it.

    Args:
        judged: The fold; only its visible logs are used.
        steps: Settings.
        seed: Fixes draws, controls and negatives.
        columns: Columns of the item table.
    """

    def __init__(self, judged: ImpressionFold, steps: Steps, seed: int, columns: ItemColumns) -> None:
        self.judged, self._steps, self._seed, self._columns = judged, steps, seed, columns
        self._target = judged.fold.pair.target
        target = self._target
        assert target.label is not None  # `impression_folds` refuses logs without labels
        weight = np.ones(len(target)) if target.weight is None else target.weight.astype(np.float64)
        self._real = LabelledRows.summed(target.user, target.item, target.label, weight, synthetic=False)
        self._synthesis = Synthesis(judged.fold, seed)
        self._arms: Cache[ArmRows] = Cache(CACHED_ARMS)

    @property
    def _auxiliary(self) -> bool:
        return self._steps.train.objective == "auxiliary"

    def arm(self, arm: ConversionArm) -> ArmRows:
        """Return what an arm learns from."""
        return self._arms.get(arm, lambda: self._make(arm))

    def _make(self, arm: ConversionArm) -> ArmRows:
        events, _ = self._synthesis.arm(arm, self._steps)
        synthetic = None if events is None else self.synthetic_rows(events)
        rows = self._real if synthetic is None else self._real.joined(synthetic)
        sizes = len(self._target.users), len(self._target.items)
        return ArmRows(synthetic, Design(rows, self._columns, *sizes, auxiliary=self._auxiliary))

    def synthetic_rows(self, events: SyntheticEvents) -> LabelledRows | None:
        """Return synthetic events with their negative rows, at a total weight of 1 of the events; None without any.

        Raises:
            LeakError: If the events saw the judged period, or were drawn from other logs than the fold's.
        """
        self.judged.fold.guard(events.fitted_until, "the synthetic events")
        self.judged.fold.guard_log(events.pair.target.digest(), "the translation")
        unweighted = self._steps.train.model_copy(update={"synthetic_weight": 1.0})
        weight = synthetic_weights(events, self._target, unweighted)
        share = self._steps.conversions.most_events / max(len(events), 1)
        selected = rng.keyed_units(self._seed, rng.Purpose.THIN, events.keys()) < share
        events, weight = events.take(selected), weight[selected]
        if weight.sum() <= 0:
            return None
        negatives = NegativeSettings(kind="rate", per_positive=self._steps.conversions.per_positive)
        law = NegativeLaw.from_log(self._target, negatives, self._seed)
        parts = list(with_negatives(_event_rows(events, weight / weight.sum()), law))
        user, item = (np.concatenate([getattr(part, name) for part in parts]) for name in ("user", "item"))
        label = np.concatenate([part.label for part in parts if part.label is not None])
        total = np.concatenate([part.weight for part in parts]).astype(np.float64)
        return LabelledRows.summed(user, item, label, total, synthetic=True)

    def rows(self, arm: ConversionArm, mass: float) -> LabelledRows:
        """Return an arm's rows; its synthetic events weigh `mass` times the real conversions."""
        synthetic = self.arm(arm).synthetic
        if synthetic is None:
            return self._real
        weight = synthetic.weight * (mass * float(self._real.weight[self._real.label == 1].sum()))
        return self._real.joined(replace(synthetic, weight=weight))

    def coverage(self, arm: ConversionArm) -> tuple[int, float]:
        """Return an arm's number of synthetic rows, and the share of the catalogue in its synthetic events."""
        synthetic = self.arm(arm).synthetic
        if synthetic is None:
            return 0, 0.0
        n_items = len(np.unique(synthetic.item[synthetic.label == 1]))
        return len(synthetic), n_items / max(len(catalogue_of(self._target)), 1)

    def fit(self, arm: ConversionArm, mass: float, l2: float) -> Logistic:
        """Fit the model of an arm."""
        return fit_logistic(self.rows(arm, mass), self.arm(arm).design, l2, auxiliary=self._auxiliary)


def _event_rows(events: SyntheticEvents, weight: Floats) -> Rows:
    """Return events as rows with their own users, items and weights, which controls exchange."""
    source, place = events.pair.source, events.source_row
    return Rows(
        event=np.arange(len(events)),
        event_user=events.user,
        event_item=source.item[place],
        event_time=None,
        event_key=source.keys()[place],
        item=events.item,
        draw=events.draw,
        confidence=events.confidence,
        support=events.support,
        weight=weight.astype(np.float32),
    )
