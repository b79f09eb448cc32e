"""Comparisons of arms: which pairs, which metrics, which intervals."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from scalr.foundation.kernels.hashing import integer_keys
from scalr.studies.results import compare_arms, means, over_seeds


@dataclass
class Judged:
    """An evaluation with one segment that has users and one that has none."""

    value: float
    sums: np.ndarray = field(default_factory=lambda: np.ones(4))

    @property
    def segments(self):
        return {"all": {"ndcg@20": self.value, "auc": self.value}, "cold": {"ndcg@20": None, "auc": None}}

    def user_sums(self, segment, metric):
        if metric == "auc":
            return None
        sums = self.sums if segment == "all" else self.sums[:0]
        return self.value * sums, integer_keys(np.arange(len(sums)))


def judged(**values):
    return {arm: [Judged(value) for value in per_seed] for arm, per_seed in values.items()}


def test_arms_are_compared_with_the_baseline_and_scalr_with_the_controls():
    rows = compare_arms(judged(real_only=[2.0, 4.0], shuffled_users=[2.0, 4.4], scalr=[3.0, 6.0]), over_seeds)
    pairs = [(x["arm"], x["baseline"], x["segment"], x["metric"]) for x in rows]
    expected = [("shuffled_users", "real_only"), ("scalr", "real_only"), ("scalr", "shuffled_users")]
    assert pairs == [(*pair, "all", metric) for pair in expected for metric in ("ndcg@20", "auc")]
    assert [x["relative_change"] for x in rows[::2]] == pytest.approx([0.05, 0.5, (0.5 + 6 / 4.4 - 1) / 2])


def test_with_one_seed_users_are_resampled_and_metrics_without_sums_omitted():
    rows = compare_arms(judged(real_only=[2.0], scalr=[3.0]), over_seeds)
    assert [(x["metric"], x["relative_change"], x["interval"]) for x in rows] == [("ndcg@20", 0.5, [0.5, 0.5])]


def test_metrics_baseline_and_headline_can_be_chosen():
    arms = judged(a=[2.0, 4.0], b=[3.0, 5.0], c=[1.0, 2.0])
    rows = compare_arms(arms, over_seeds, metrics=["auc"], baseline="b", headline="c")
    assert [(x["arm"], x["baseline"], x["metric"]) for x in rows] == [
        ("a", "b", "auc"), ("c", "b", "auc"), ("c", "a", "auc"),
    ]  # fmt: skip


def test_means_skip_seeds_without_a_value():
    one, other = Judged(2.0), Judged(None)
    assert means([one, other])["all"]["auc"] == {"mean": 2.0, "per_seed": [2.0, None]}
    assert means([one, other])["cold"]["auc"] == {"mean": None, "per_seed": [None, None]}
