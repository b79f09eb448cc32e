"""Points of each sweep: the settings to try, and the points to compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from scalr.evaluation import Fold
from scalr.foundation import AlignSettings, Codes, ConfigError, Steps, nearest_name, rng
from scalr.logs import Pair
from scalr.studies.choosing.races import Changes
from scalr.studies.sweeps.claims import CLAIMS
from scalr.synthesis import marginal

NAMES = tuple(CLAIMS)
TEMPERATURES = (2.0, 1.0, 0.5, 0.25)
DRAWS = (1, 2, 4, 8, 16)
WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
SUPPORTS = (1, 2, 3, 5, 10)
LINKED = (1.0, 0.8, 0.5, 0.2)
HIDDEN = (0.0, 0.1, 0.25, 0.5)
"""Shares of the overlap users whose target history is hidden; a base share beside them is a further point."""
HIDE = "split.hide_overlap"
OBJECTIVES = ("auxiliary", "joint", "thinned")
SHRINKAGES = (None, 16.0, 4.0, 1.0)
SAME_TOTAL = ", same total"
TOP1 = "top-1"


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of a sweep.

    Attributes:
        label: Name in words, distinct within the sweep.
        changes: Changes to the base settings.
        same_total: Whether events are weighted to the total weight of the base settings.
        linked: Share of the overlap users whose source events are kept.
    """

    label: str
    changes: Changes = field(default_factory=dict)
    same_total: bool = False
    linked: float = 1.0

    def setting(self) -> dict[str, Any]:
        """Return the setting for `sweeps.json`."""
        changes = {
            name: value.model_dump(mode="json") if isinstance(value, AlignSettings) else value
            for name, value in self.changes.items()
        }
        total = {"total_weight": "as with the base settings"} if self.same_total else {}
        return changes | total | ({"linked_overlap": self.linked} if self.linked < 1 or not changes else {})


def checked_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names of sweeps in their order; "all" means every sweep.

    Raises:
        ConfigError: If a name is unknown, or none is given.
    """
    selected: list[str] = []
    for name in names:
        if name != "all" and name not in NAMES:
            near = nearest_name(name, (*NAMES, "all"))
            raise ConfigError(
                f"unknown sweep '{name}'",
                expected=f"one of {', '.join(NAMES)}, or all",
                fix=f"did you mean '{near}'?" if near else "use one of these names, or several separated by commas",
            )
        selected += NAMES if name == "all" else [name]
    if not selected:
        raise ConfigError("no sweep is named", expected=f"one of {', '.join(NAMES)}, or all", fix="name a sweep")
    return tuple(dict.fromkeys(selected))


def points_of(name: str, base: Steps, pair: Pair) -> tuple[Point, ...]:
    """Return the points of a sweep.

    Args:
        name: Name of the sweep.
        base: Settings that the points change.
        pair: The whole logs; alignment is by value if they have values, else by popularity.
    """
    if name == "sampling":
        top = Point(TOP1, {"sample.strategy": "topk", "sample.draws_per_event": 1}, same_total=True)
        drawn = {"sample.strategy": "sample", "sample.draws_per_event": 1}
        temperatures = [
            Point(f"sampled, temperature {t:g}", {**drawn, "sample.temperature": t}, same_total=True)
            for t in TEMPERATURES
        ]
        return top, *temperatures
    if name == "volume":
        per_event = [Point(_draws(n), {"sample.draws_per_event": n}) for n in DRAWS]
        return *per_event, *(replace(one, label=one.label + SAME_TOTAL, same_total=True) for one in per_event)
    if name == "weight":
        return tuple(Point(f"λ {weight:g}", {"train.synthetic_weight": weight}) for weight in WEIGHTS)
    if name == "alignment":
        settings = base.refine.align or AlignSettings()
        by: Literal["popularity", "value"] = (
            "popularity" if marginal(pair, "value", settings.buckets) is None else "value"
        )
        on = AlignSettings(by=(by,), buckets=settings.buckets, keep_share=settings.keep_share)
        return (
            Point(f"by {by}", {"refine.align": on}, same_total=True),
            Point("off", {"refine.align": None}, same_total=True),
        )
    if name == "support":
        return tuple(Point(f"{n} user{'s' * (n > 1)} at least", {"sample.min_support": n}) for n in SUPPORTS)
    if name == "overlap":
        return tuple(Point(f"{100 * share:g} % linked", linked=share) for share in LINKED)
    if name == "hide_overlap":
        shares = sorted({*HIDDEN, base.split.hide_overlap})
        return tuple(Point(f"{100 * share:g} % hidden", {HIDE: share}) for share in shares)
    if name == "objective":
        return tuple(Point(objective, {"train.objective": objective}) for objective in OBJECTIVES)
    return tuple(Point("none" if k is None else f"κ {k:g}", {"train.shrinkage": k}) for k in SHRINKAGES)


def contrasts_of(name: str, labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of points of a sweep that are compared, beside comparisons with real events only."""
    if name == "volume":
        curves = [[x for x in labels if x.endswith(SAME_TOTAL) == same] for same in (False, True)]
        return [(b, a) for curve in curves for a, b in (*pairwise(curve), (curve[0], curve[-1]))]
    if name == "overlap":
        return [*pairwise(labels), (labels[0], labels[-1])]
    if name == "alignment":
        return [(labels[0], labels[1])]
    if name == "objective":
        return [(labels[0], other) for other in labels[1:]]
    return [] if name in ("weight", "hide_overlap") else [(label, labels[0]) for label in labels[1:]]


def linked_fold(fold: Fold, overlap: Codes, share: float, seed: int) -> Fold:
    """Return the fold without the source events of overlap users who are not linked; judged pairs are unchanged.

    Args:
        fold: The fold.
        overlap: Codes of the users who are active in both domains.
        share: Share that stays linked, selected by a hash of the user: smaller shares are subsets of larger ones.
        seed: Selects the users.
    """
    source = fold.pair.source
    chance = rng.keyed_units(seed, rng.Purpose.LINK, source.users.keys[overlap])
    is_unlinked = np.zeros(len(source.users), np.bool_)
    is_unlinked[overlap[chance >= share]] = True
    return replace(fold, pair=replace(fold.pair, source=source.take(~is_unlinked[source.user])))


def _draws(n: int) -> str:
    return "1 draw" if n == 1 else f"{n} draws"
