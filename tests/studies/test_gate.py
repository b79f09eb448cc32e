"""Who decides, when a segment opens, and what is served then."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from scalr.evaluation.folds import split
from scalr.foundation.config import SplitSettings
from scalr.logs.simulation import simulate
from scalr.studies.gate import LEVEL, Opening, RoutedModel, agreed, gated, half_of, never_open, open_segments


@dataclass
class Losses:
    """Stand-in for an evaluation: log losses by segment."""

    of: dict[str, np.ndarray]

    def user_sums(self, segment, metric):
        assert metric == "log_loss"
        losses = self.of.get(segment)
        return None if losses is None else (losses, np.arange(len(losses), dtype=np.uint64))


def judged(rng, shift_real=0.0, shift_shuffled=0.0, users=300, seeds=3):
    base = {segment: rng.gamma(2.0, 1.0, users) for segment in ("warm", "cold")}

    def arm(shift):
        return [
            Losses({segment: losses + shift + rng.normal(0, 0.3, users) for segment, losses in base.items()})
            for _ in range(seeds)
        ]

    return {"scalr": arm(0.0), "real_only": arm(shift_real), "shuffled_users": arm(shift_shuffled)}


def test_a_gain_over_both_opens():
    openings = open_segments(judged(np.random.default_rng(0), 0.1, 0.1))
    assert [opening.segment for opening in openings] == ["warm", "cold"]
    assert all(opening.is_open and opening.change < 0 for opening in openings)


@pytest.mark.parametrize(("real", "shuffled"), [(0.1, -0.1), (-0.1, 0.1), (-0.1, -0.1)])
def test_a_gain_over_one_of_them_is_not_enough(real, shuffled):
    assert not any(opening.is_open for opening in open_segments(judged(np.random.default_rng(1), real, shuffled)))


@pytest.mark.parametrize("against", ["real_only", "shuffled_users"])
def test_without_a_gain_it_opens_as_rarely_as_promised(against):
    """Equal to one arm, far better than the other: 1,000 worlds, two segments; 4 standard errors above the level."""
    rng, opened, n = np.random.default_rng(2), 0, 1000
    for _ in range(n):
        shifts = (0.0, 0.5) if against == "real_only" else (0.5, 0.0)
        opened += sum(opening.is_open for opening in open_segments(judged(rng, *shifts, users=60)))
    rate = opened / (2 * n)
    assert rate < LEVEL + 4 * np.sqrt(LEVEL * (1 - LEVEL) / (2 * n))
    assert rate > LEVEL / 3  # the test has power to spare: it is not closed for good


def test_a_segment_is_open_where_every_rehearsal_opens_it():
    """The numbers are those of the rehearsal that is least convincing, the unknown ones first."""
    near = [opening("warm", is_open=True), replace(opening("cold", is_open=True), p_real=0.02)]
    far = [replace(opening("warm", is_open=False), p_shuffled=0.4), opening("cold", is_open=True)]
    warm, cold = agreed({"near": near, "far": far})
    assert (warm.segment, warm.is_open, warm.rehearsal, warm.p_shuffled) == ("warm", False, "far", 0.4)
    assert (cold.segment, cold.is_open, cold.rehearsal, cold.p_real) == ("cold", True, "near", 0.02)
    assert cold.to_json()["rehearsal"] == "near"
    assert [one.is_open for one in agreed({"near": near, "far": never_open()})] == [False, False]


def test_losses_are_means_over_the_seeds_that_judge_a_user():
    """Seed by seed: scalr 1 and 3, real events 2 and 2, so there is no gain; another seed's user counts once."""
    random = np.random.default_rng(0)
    seeds = {"scalr": (1.0, 3.0), "real_only": (2.0, 2.0), "shuffled_users": (4.0, 4.0)}
    noise = random.normal(0, 0.01, 51)

    def losses(value, users):
        return Losses({"warm": (value + noise)[:users]})

    judged = {arm: [losses(first, 50), losses(second, 51)] for arm, (first, second) in seeds.items()}
    warm, _ = open_segments(judged)
    assert warm.users == 51
    assert warm.change == pytest.approx((50 * 2.0 + 3.0) / (51 * 2.0) - 1, abs=1e-3)
    assert not warm.is_open
    first = {arm: evaluations[:1] for arm, evaluations in judged.items()}
    assert open_segments(first)[0].change == pytest.approx(-0.5, abs=1e-3)


def test_a_segment_without_users_stays_closed():
    arms = judged(np.random.default_rng(0), 0.1, 0.1)
    without = {arm: [Losses({"warm": one.of["warm"]}) for one in evaluations] for arm, evaluations in arms.items()}
    warm, cold = open_segments(without)
    assert warm.is_open
    assert not cold.is_open
    assert cold.to_json() == {
        "segment": "cold", "open": False, "users": 0, "change": None, "p_real_only": None, "p_shuffled_users": None,
        "level": LEVEL,
    }  # fmt: skip


@pytest.fixture(scope="module")
def fold():
    return split(simulate(n_users=200, seed=1).pair, SplitSettings(hide_overlap=0.5)).validation


def test_users_either_choose_or_judge(fold):
    one, other = half_of(fold), half_of(fold, judge=True)
    assert len(one.user) + len(other.user) == len(fold.user)
    assert not set(one.user.tolist()) & set(other.user.tolist())
    assert 0.3 < len(np.unique(one.user)) / len(np.unique(fold.user)) < 0.7


class Constant:
    """A model that says one number."""

    fitted_until, fitted_on = 5, 7

    def __init__(self, value):
        self.value = value

    def score(self, user, item):
        return np.full(len(user), self.value)

    def rank_scores(self, users):
        return np.full((len(users), 4), self.value, np.float32)


def opening(segment, *, is_open):
    return Opening(segment, is_open, 10, -0.1, 0.01, 0.01)


def test_closed_segments_are_served_by_real_events_alone(fold):
    ours, real = Constant(0.9), Constant(0.1)
    both = [opening("warm", is_open=True), opening("cold", is_open=True)]
    assert gated(ours, real, fold, both) is ours
    assert gated(ours, real, fold, [replace(one, is_open=False) for one in both]) is real
    routed = gated(ours, real, fold, [replace(both[0], is_open=False), both[1]])
    assert isinstance(routed, RoutedModel)
    users = np.arange(len(fold.pair.target.users), dtype=np.int32)
    expected = np.where(fold.is_cold(users), 0.9, 0.1)
    np.testing.assert_array_equal(routed.score(users, users), expected)
    np.testing.assert_allclose(routed.rank_scores(users), np.repeat(expected[:, None], 4, axis=1), rtol=1e-6)
    assert (routed.fitted_until, routed.fitted_on) == (5, 7)
