"""Made-up runs for the report: numbers that could be, never results."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from scalr.report.page import ReportData

HELPED = {
    "scalr": (-0.0111, 0.0019),
    "top1": (-0.0042, 0.0021),
    "random_items": (0.0035, 0.0015),
    "popular_items": (0.0062, 0.0018),
    "shuffled_users": (0.0028, 0.0016),
    "oversampled_real": (0.0151, 0.0031),
}
HARMED = {
    "scalr": (0.0172, 0.0044),
    "top1": (0.0081, 0.0038),
    "random_items": (0.0263, 0.0051),
    "popular_items": (0.0345, 0.0040),
    "shuffled_users": (0.0290, 0.0057),
    "oversampled_real": (-0.0013, 0.0028),
}
SEGMENT_SHARES = {"all": 1.0, "warm": 0.55, "cold": 1.9}
METRIC_SHARES = {"normalized_entropy": 1.0, "log_loss": 1.0, "auc": -0.4, "ndcg@20": -9.0, "recall@20": -7.0}


def comparison(arm: str, change: float | None, half: float | None, **names: Any) -> dict[str, Any]:
    """Return one row of `comparisons`; `half` is half the width of its interval."""
    interval = None if half is None or change is None else [change - half, change + half]
    row = {"arm": arm, "baseline": "real_only", "segment": "all", "metric": "normalized_entropy"}
    return {**row, "relative_change": change, "interval": interval, "level": 0.95, "p_value": 0.004, **names}


def make_study(effects: dict[str, tuple[float, float]], calibration: float = 1.03) -> dict[str, Any]:
    """Return a whole study whose arms change normalized entropy by `effects` (change, half width)."""
    comparisons = [
        comparison(
            arm,
            change * size * sign,
            abs(half * sign) * (1.0 if segment == "all" else 1.6),
            segment=segment,
            metric=metric,
        )
        for segment, size in SEGMENT_SHARES.items()
        for metric, sign in METRIC_SHARES.items()
        for arm, (change, half) in effects.items()
    ]
    comparisons += [
        comparison(arm, calibration - 1.0 if arm == "scalr" else 0.01, 0.012, metric="calibration_ratio")
        for arm in effects
    ]
    base = {"normalized_entropy": 0.8312, "log_loss": 0.4160, "auc": 0.7421, "ndcg@20": 0.0713, "recall@20": 0.1204}
    arms = {
        arm: {
            **{
                name: {"mean": value * (1 + change * METRIC_SHARES[name]), "per_seed": [value] * 5}
                for name, value in base.items()
            },
            "calibration_ratio": {"mean": 0.97 * (calibration if arm == "scalr" else 1.0), "per_seed": [0.97] * 5},
        }
        for arm, (change, _) in {"real_only": (0.0, 0.0), **effects}.items()
    }
    protocol = {
        "split": "time",
        "test_share": 0.2,
        "validation_share": 0.1,
        "hide_overlap": 0.5,
        "seeds": 5,
        "negatives": 4,
    }
    return {"schema": "scalr.study/1", "protocol": protocol, "arms": arms, "comparisons": comparisons}


def _buckets(tilt: float) -> list[float]:
    sizes = [math.exp(-tilt * place / 20) for place in range(20)]
    return [size / sum(sizes) for size in sizes]


def _curve(share: float) -> list[float]:
    return [1.0 - (1.0 - (place + 0.5) / 49.5) ** (1.0 / share) for place in range(50)]


@pytest.fixture
def generated() -> ReportData:
    """A run of stage one alone: no study."""
    return ReportData(
        title="Grocery → drug store",
        subtitle="Synthetic drug-store events from what households buy in the grocery aisles",
        notes=("These data are simulated from a known truth. They show how the page reads, not what to expect.",),
        warnings=("Only 312 of the 4,120 target items have more than 20 events: estimates for the others are thin.",),
        pair={
            "domains": [
                {
                    "name": "grocery",
                    "role": "source",
                    "users": 2469,
                    "items": 31204,
                    "events": 1203310,
                    "interactions": 702133,
                    "density": 0.00911,
                    "time_range": ["2017-01-01T11:53:26", "2017-12-31T23:01:20"],
                },
                {
                    "name": "drug",
                    "role": "target",
                    "users": 2312,
                    "items": 4120,
                    "events": 142871,
                    "interactions": 91230,
                    "density": 0.00957,
                    "time_range": ["2017-01-01T12:10:00", "2017-12-31T22:47:02"],
                },
            ],
            "overlap_users": 2309,
        },
        stages={
            "read": {"rows_in": 1346181, "rows_out": 1346181, "wall_seconds": 1.32, "cpu_seconds": 2.4},
            "fit": {"rows_in": 1346181, "rows_out": 1203310, "wall_seconds": 0.41, "cpu_seconds": 0.44},
            "sample": {"rows_in": 1203310, "rows_out": 4813240, "wall_seconds": 0.93, "cpu_seconds": 1.81},
            "drop_real": {"rows_in": 4813240, "rows_out": 4102011, "wall_seconds": 0.12, "cpu_seconds": 0.12},
            "filter": {"rows_in": 4102011, "rows_out": 2911204, "wall_seconds": 0.08, "cpu_seconds": 0.08},
            "deduplicate": {"rows_in": 2911204, "rows_out": 1630027, "wall_seconds": 0.35, "cpu_seconds": 0.36},
            "align": {"rows_in": 1630027, "rows_out": 1140321, "wall_seconds": 0.09, "cpu_seconds": 0.09},
            "cap": {"rows_in": 1140321, "rows_out": 1058842, "wall_seconds": 0.11, "cpu_seconds": 0.11},
            "write": {"rows_in": 1058842, "rows_out": 1058842, "wall_seconds": 0.62, "cpu_seconds": 0.71},
        },
        coverage={"sample": 0.312, "top1": 0.041, "real": 0.874},
        curves={"sample": _curve(0.33), "top1": _curve(0.03), "real": _curve(0.22)},
        alignment=(
            {
                "by": "value",
                "edges": [0.29 * 1.28**place for place in range(21)],
                "real": [0.05] * 20,
                "before": _buckets(1.9),
                "after": _buckets(0.14),
                "total_variation_before": 0.214,
                "total_variation_after": 0.018,
                "wasserstein_before": 1.83,
                "wasserstein_after": 0.12,
            },
            {
                "by": "popularity",
                "edges": [float(2 * 1.4**place) for place in range(21)],
                "real": [0.05] * 20,
                "before": _buckets(-2.7),
                "after": _buckets(-0.3),
                "total_variation_before": 0.291,
                "total_variation_after": 0.037,
                "wasserstein_before": None,
                "wasserstein_after": None,
            },
        ),
        examples=(
            {
                "user": "1842",
                "source_item": "1082185",
                "source_title": "Bananas",
                "source_domain": "grocery",
                "target_item": "916122",
                "target_title": "Vitamin C, chewable, 100 tablets",
                "confidence": 0.118,
                "support": 43,
            },
            {
                "user": "77",
                "source_item": "981760",
                "source_title": "Baby food, carrots and peas, 4 oz",
                "source_domain": "grocery",
                "target_item": "840361",
                "target_title": "Diapers, size 3, 88 count",
                "confidence": 0.342,
                "support": 121,
            },
            {
                "user": None,
                "source_item": "826249",
                "source_title": None,
                "source_domain": "grocery",
                "target_item": "995242",
                "target_title": None,
                "confidence": 0.027,
                "support": 6,
            },
        ),
        settings={
            "seed": 7,
            "sample": {"draws_per_event": 4, "strategy": "sample", "temperature": 1.0},
            "refine": {"align": {"by": ["value", "popularity"], "buckets": 20}, "max_per_user": None},
        },
        environment={"version": "0.1.0", "python": "3.11.9", "cores": 2},
    )


@pytest.fixture
def study_of() -> Callable[..., dict[str, Any]]:
    """Make a whole study from the effect of each arm; one that helped by default."""
    return lambda effects=HELPED, calibration=1.03: make_study(effects, calibration)
