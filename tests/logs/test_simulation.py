import numpy as np
import pytest
from scipy import stats

from scalr.foundation.errors import ConfigError
from scalr.logs.simulation import simulate


def test_target_events_follow_the_stated_law():
    """Chi-square of the items of one taste's users at a false-alarm rate of 1e-4; the seed is fixed."""
    world = simulate(n_users=500, events_per_user=(2, 20), seed=3)
    user, item = (world.target[name].to_numpy() for name in ("user", "item"))
    mine = world.target_taste[user] == 2
    counts = np.bincount(item[mine] - 1_000_000, minlength=world.item_law.shape[1])
    assert stats.chisquare(counts, world.item_law[2] * counts.sum()).pvalue > 1e-4


def test_relatedness_is_the_share_of_users_who_keep_their_taste():
    for relatedness in (0.0, 0.5, 1.0):
        world = simulate(n_users=4000, n_groups=8, relatedness=relatedness, seed=1)
        same = (world.taste == world.target_taste).mean()
        assert same == pytest.approx(relatedness + (1 - relatedness) / 8, abs=0.03)


def test_the_same_seed_gives_the_same_world():
    assert simulate(n_users=50, seed=1).source.equals(simulate(n_users=50, seed=1).source)
    assert not simulate(n_users=50, seed=1).source.equals(simulate(n_users=50, seed=2).source)


def test_more_tastes_than_items_are_refused():
    with pytest.raises(ConfigError, match="8 tastes share 5 items"):
        simulate(n_target_items=5)
