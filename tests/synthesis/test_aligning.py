from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalr.foundation.config import AlignSettings, SampleSettings
from scalr.logs.simulation import simulate
from scalr.synthesis.aligning import Align, item_values, marginal
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.refining import apply_stage
from scalr.synthesis.sampling import sample
from scalr.synthesis.stages import RefiningStage
from scalr.synthesis.translators import fit


@pytest.fixture(scope="module")
def events() -> SyntheticEvents:
    """Drawn flat, so that popularity and value are off and there is something to align."""
    world = simulate(n_users=400, n_target_items=60, seed=4)
    return sample(fit(world.pair), SampleSettings(draws_per_event=4, temperature=4.0), seed=4)


def align(events: SyntheticEvents, settings: AlignSettings) -> SyntheticEvents:
    """Apply alignment alone."""
    return apply_stage(events, RefiningStage("align", (Align(settings, events.seed),)))


@pytest.mark.parametrize("by", ["value", "popularity", "time"])
def test_one_marginal_comes_close_to_the_real_one(events, by):
    left = align(events, AlignSettings(by=(by,), keep_share=0.05))
    facts = left.receipts[-1].details["marginals"][0]
    noise = 3 * np.sqrt(len(facts["real"]) / len(left))  # of bucket shares of so many independent draws
    assert facts["total_variation_after"] < min(noise, facts["total_variation_before"])
    assert facts["wasserstein_after"] < facts["wasserstein_before"]


def test_several_marginals_at_once(events):
    left = align(events, AlignSettings(by=("value", "popularity", "time"), keep_share=0.05, buckets=8))
    facts = left.receipts[-1].details["marginals"]
    assert [one["by"] for one in facts] == ["value", "popularity", "time"]
    assert all(one["total_variation_after"] < 0.5 * one["total_variation_before"] + 0.02 for one in facts)


def test_keep_share_bounds_the_loss(events):
    for share in (0.3, 0.6, 0.9):
        left = align(events, AlignSettings(by=("popularity",), keep_share=share))
        assert len(left) / len(events) > share - 4 * np.sqrt(share * (1 - share) / len(events))


def test_what_is_aligned_already_stays_whole(events):
    """Synthetic items that are the real ones have ratio 1 everywhere."""
    target = events.pair.target
    real = replace(events.take(np.arange(len(target))), item=target.item, user=target.user)
    assert len(align(real, AlignSettings(by=("value", "popularity")))) == len(real)


def test_missing_quantities_are_passed_over_and_told(events):
    bare = replace(events, pair=replace(events.pair, target=replace(events.pair.target, value=None)))
    left = align(bare, AlignSettings(by=("value",)))
    assert len(left) == len(bare)
    assert left.receipts[-1].details["passed_over"] == ["value"]


def test_downsampling_is_by_bucket_and_not_by_place(events):
    """The same events in another order: the same ones stay."""
    order = np.random.default_rng(0).permutation(len(events))
    chosen = AlignSettings(by=("popularity",), keep_share=0.2)
    one, other = align(events, chosen), align(events.take(order), chosen)
    assert sorted(one.keys().tolist()) == sorted(other.keys().tolist())


def test_buckets_hold_about_equally_many_real_events(events):
    shares = marginal(events.pair, "time", 10)
    assert shares.real_shares() == pytest.approx([0.1] * 10, abs=0.01)


def test_item_value_is_the_median_of_its_events(events):
    target = events.pair.target
    values = item_values(target, None)
    for item in np.unique(target.item)[:20]:
        assert values[item] == np.median(target.value[target.item == item])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5) | st.just(np.nan)), max_size=40))
def test_item_value_with_unknown_values(rows):
    world = simulate(n_users=20, n_target_items=5, n_groups=2, seed=1).pair.target
    item, value = (np.array([row[place] for row in rows]) for place in (0, 1))
    log = replace(world, item=item.astype(np.int32), value=value.astype(np.float64))
    for code, found in enumerate(item_values(log, None)):
        mine = value[(item == code) & np.isfinite(value)] if len(rows) else np.empty(0)
        assert (np.isnan(found) and not len(mine)) or found == pytest.approx(np.median(mine))
