from dataclasses import replace

import numpy as np
import pytest
from tests.worlds import small_pair

from scalr.foundation.config import AlignSettings, RefineSettings, SampleSettings
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.refining import apply_stage, drop_real, refine
from scalr.synthesis.sampling import sample
from scalr.synthesis.stages import RealPairs, confidence_lower_bound, refining_stages
from scalr.synthesis.translators import fit


@pytest.fixture(scope="module")
def events() -> SyntheticEvents:
    return sample(fit(small_pair()), SampleSettings(draws_per_event=4), seed=2)


def only(events: SyntheticEvents, name: str, **settings: object) -> SyntheticEvents:
    """Apply one stage of the settings."""
    stages = refining_stages(RefineSettings(**settings), RealPairs.from_log(events.pair.target), events.seed)
    (stage,) = (stage for stage in stages if stage.name == name)
    return apply_stage(events, stage)


def interactions(events: SyntheticEvents) -> list[tuple[int, int]]:
    return list(zip(events.user.tolist(), events.item.tolist(), strict=True))


def test_no_synthetic_pair_is_real(events):
    target = events.pair.target
    real = set(zip(target.user.tolist(), target.item.tolist(), strict=True))
    left = drop_real(events)
    assert set(interactions(events)) & real, "the world must hold such pairs, or the test shows nothing"
    assert not set(interactions(left)) & real
    assert interactions(left) == [pair for pair in interactions(events) if pair not in real]


def test_a_real_pair_with_label_zero_is_dropped_too(events):
    target = events.pair.target
    labelled = replace(target, label=np.zeros(len(target), np.int8))
    with_labels = replace(events, pair=replace(events.pair, target=labelled))
    assert interactions(drop_real(with_labels)) == interactions(drop_real(events))


def test_support_filter(events):
    left = only(events, "filter", min_support=5)
    assert len(left) == (events.support >= 5).sum() < len(events)


def test_wilson_bound_is_the_textbook_one():
    """3 of 10 at z = 1.96: centre (0.3 + 3.8416 / 20) / (1 + 0.38416), worked by hand to 0.10779."""
    bound = confidence_lower_bound(np.array([0.3], np.float32), np.array([3], np.int32), z=1.96)
    assert bound == pytest.approx(0.10779, abs=1e-4)


def test_little_evidence_counts_less_than_much():
    one_of_one, fifty_of_sixty = confidence_lower_bound(
        np.array([1.0, 50 / 60], np.float32), np.array([1, 50], np.int32)
    )
    assert one_of_one < fifty_of_sixty


def test_confidence_filter_uses_the_lower_bound(events):
    left = only(events, "filter", min_confidence=0.05)
    assert (confidence_lower_bound(left.confidence, left.support) >= 0.05).all()
    assert 0 < len(left) < (events.confidence >= 0.05).sum()


def test_best_keeps_the_most_confident_of_each_pair(events):
    left = only(events, "deduplicate", duplicates="best")
    best: dict[tuple[int, int], float] = {}
    for pair, confidence in zip(interactions(events), events.confidence, strict=True):
        best[pair] = max(best.get(pair, 0), confidence)
    assert sorted(interactions(left)) == sorted(best)
    assert all(best[pair] == c for pair, c in zip(interactions(left), left.confidence, strict=True))


def test_merge_keeps_the_total_weight(events):
    weighted = replace(events, weight=np.linspace(0.5, 2, len(events)).astype(np.float32))
    left = only(weighted, "deduplicate", duplicates="merge")
    assert len(left) == len(set(interactions(events)))
    assert left.weight.sum() == pytest.approx(weighted.weight.sum(), rel=1e-5)
    first = interactions(left)[0]
    mine = [pair == first for pair in interactions(weighted)]
    assert left.weight[0] == pytest.approx(weighted.weight[mine].sum(), rel=1e-6)


def test_keep_keeps_all(events):
    assert interactions(only(events, "deduplicate", duplicates="keep")) == interactions(events)


def test_caps_keep_the_most_confident(events):
    left = only(events, "cap", max_per_user=3)
    for user in np.unique(events.user):
        mine, kept = np.sort(events.confidence[events.user == user])[::-1], left.confidence[left.user == user]
        np.testing.assert_array_equal(np.sort(kept)[::-1], mine[:3])
    assert np.bincount(only(events, "cap", max_per_item=10).item).max() == 10


def test_each_stage_starts_with_the_rows_that_the_one_before_has_left(events):
    settings = RefineSettings(min_support=2, duplicates="best", max_per_user=5, align=AlignSettings(by=("popularity",)))
    left = refine(events, settings)
    receipts = left.receipts[2:]
    assert [r.stage for r in receipts] == ["drop_real", "filter", "deduplicate", "align", "cap"]
    rows = [len(events), *(r.rows_out for r in receipts)]
    assert [r.rows_in for r in receipts] == rows[:-1]
    assert rows[-1] == len(left)
    assert rows == sorted(rows, reverse=True)


def test_empty_events_pass_through(events):
    nothing = events.take(np.zeros(len(events), np.bool_))
    settings = RefineSettings(
        duplicates="merge", max_per_user=1, max_per_item=1, align=AlignSettings(by=("popularity", "time"))
    )
    assert len(refine(nothing, settings)) == 0
