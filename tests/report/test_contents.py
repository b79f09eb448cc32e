import numpy as np
import pytest

from scalr.foundation.config import SampleSettings
from scalr.logs.simulation import simulate
from scalr.report.contents import cumulative_shares, examples
from scalr.synthesis.facts import facts_of
from scalr.synthesis.refining import refine
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit


@pytest.fixture(scope="module")
def events():
    return refine(sample(fit(simulate(n_users=300, seed=1).pair), SampleSettings(draws_per_event=2), seed=1))


def test_examples_rest_on_several_users_and_differ(events):
    found = examples(facts_of(events), events.pair)
    assert len(found) == 12
    assert all(one["support"] >= 5 for one in found)
    assert len({one["source_item"] for one in found}) == len({one["target_item"] for one in found}) == 12


def test_lift_is_confidence_over_the_share_of_real_pairs(events):
    target = events.pair.target
    pairs = set(zip(target.user.tolist(), target.item.tolist(), strict=True))
    ids = [str(one) for one in target.items.ids.to_pylist()]
    for one in examples(facts_of(events), events.pair):
        item = ids.index(one["target_item"])
        share = sum(i == item for _, i in pairs) / len(pairs)
        assert one["lift"] == pytest.approx(one["confidence"] / share)


def test_examples_follow_the_tastes_that_the_world_is_made_of(events):
    """Item i of either domain belongs to taste i % 8, so the best translations stay inside a taste."""
    same = [
        int(one["source_item"]) % 8 == (int(one["target_item"]) - 1_000_000) % 8
        for one in examples(facts_of(events), events.pair)
    ]
    assert np.mean(same) > 0.8


def test_curves_rise_to_one_and_start_with_the_most_frequent_item(events):
    curve = cumulative_shares(facts_of(events), events.pair.target)
    assert curve == sorted(curve)
    assert curve[-1] == pytest.approx(1)
    assert curve[0] == np.bincount(events.item).max() / len(events)


def test_no_events_have_no_examples(events):
    nothing = events.take(np.zeros(len(events), np.bool_))
    assert examples(facts_of(nothing), events.pair) == []
