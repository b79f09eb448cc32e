import numpy as np
import pytest
from tests.worlds import small_pair

from scalr.foundation.config import SampleSettings
from scalr.logs.event_log import catalogue_of
from scalr.studies import controls
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit


@pytest.fixture(scope="module")
def events():
    return sample(fit(small_pair(users=200)), SampleSettings(draws_per_event=20), seed=2)


def test_random_items_are_uniform_over_the_catalogue(events):
    """Chi-square at a false-alarm rate of 1e-4; the seed is fixed."""
    from scipy import stats

    changed = controls.random_items(events, 1)
    counts = np.bincount(changed.item)[catalogue_of(events.pair.target)]
    assert counts.sum() == len(events)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_popular_items_follow_the_real_events(events):
    from scipy import stats

    changed = controls.popular_items(events, 1)
    real = np.bincount(events.pair.target.item)
    assert stats.chisquare(np.bincount(changed.item), real / real.sum() * len(events)).pvalue > 1e-4


def test_shuffled_users_keep_items_and_volumes_but_nobody_keeps_their_own(events):
    changed = controls.shuffled_users(events, 1)
    np.testing.assert_array_equal(changed.item, events.item)
    assert (changed.user != events.user).all()
    assert sorted(np.bincount(changed.user)) == sorted(np.bincount(events.user))
    assert len(np.unique(np.stack([events.user, changed.user]), axis=1).T) == len(np.unique(events.user))


def test_oversampled_real_rows_are_real(events):
    target = events.pair.target
    user, item, weight = controls.oversampled_real(target, 5000, 1)
    real = set(zip(target.user.tolist(), target.item.tolist(), strict=True))
    assert weight.sum() == 5000
    assert len(user) <= len(target)
    assert (weight == weight.round()).all()
    assert weight.max() > 1
    assert set(zip(user.tolist(), item.tolist(), strict=True)) <= real


@pytest.mark.parametrize("name", ["random_items", "popular_items", "shuffled_users"])
def test_a_control_depends_on_its_seed_alone(events, name):
    control = getattr(controls, name)
    order = np.random.default_rng(3).permutation(len(events))
    one, other = control(events, 1), control(events.take(order), 1)
    np.testing.assert_array_equal(one.item[order], other.item)
    np.testing.assert_array_equal(one.user[order], other.user)
    again = control(events, 2)
    assert not (np.array_equal(one.item, again.item) and np.array_equal(one.user, again.user))
