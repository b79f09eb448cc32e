"""The attacks of benchmarks.privacy: right where the answer is known, and powerless where there is nothing to know."""

import math

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.membership import (
    N_SOURCE,
    N_TARGET,
    TARGET_OFFSET,
    Law,
    World,
    advantage,
    attacked,
    best_threshold,
    decision,
)
from benchmarks.privacy import ceiling, steps_of
from benchmarks.real_membership import frequent, thirds, worlds_of
from tests.reliability.jobs import FIGURE

from scalr.foundation.config import Steps


def world(support: int | None, *, is_in: bool) -> World:
    """Users 0 to 2 have pair (0, 0); user 0 is the candidate; user 3 sees the pair's support."""
    has, owns = np.zeros((4, N_SOURCE), bool), np.zeros((4, N_TARGET), bool)
    has[:, 0], owns[:3, 0] = True, True
    rows = np.array([[3, 0, 0, support]] if support is not None else np.zeros((0, 4)), np.int64)
    return World(has, owns, np.array([is_in, True, True, True]), np.array([0]), rows)


def test_who_knows_everyone_else_needs_one_support():
    assert decision(world(3, is_in=True), 0, by_item=False) == 1.0
    assert decision(world(2, is_in=False), 0, by_item=False) == -1.0
    assert decision(world(None, is_in=True), 0, by_item=False) == 0.0
    own = world(3, is_in=True)
    own.released[0, 0] = 0  # the candidate's own row is not looked at
    assert decision(own, 0, by_item=False) == 0.0


def test_who_knows_the_law_weighs_by_the_likelihood_of_poisson_counts():
    """P(s - 1; λ) / P(s; λ) = s / λ where the pair is shown; where hidden pairs are those below 3, 1 and 2 of these."""
    expected, chance = np.full((N_SOURCE, N_TARGET), 1.5), (np.arange(65) >= 3).astype(float)
    law = Law(expected, np.full(N_TARGET, 2.0), chance, by_item=False)
    assert law.score(world(4, is_in=True), 0) == pytest.approx(np.log(4 / 1.5))
    poisson = np.exp(-1.5) * 1.5 ** np.arange(3) / [1, 1, 2]
    wanted = np.log((poisson[0] + poisson[1]) / poisson.sum())
    assert law.score(world(None, is_in=True), 0) == pytest.approx(wanted)


def test_advantage_of_known_scores():
    truth = [np.array([True, False])] * 50
    sure = [np.array([1.0, 0.0])] * 50
    assert advantage(sure, truth, best_threshold(sure, truth)).value == 1.0
    blind = [np.array([0.5, 0.5])] * 50
    found = advantage(blind, truth, best_threshold(blind, truth))
    assert (found.value, found.auc) == (0.0, 0.5)


@pytest.mark.trust
def test_the_attack_finds_witnesses_and_fails_where_nobody_testifies(record_property):
    """120 coins each; an advantage of 0.3 without any signal would be 3.3 standard errors: a false alarm of 0.1 %."""
    shape = {"worlds": 8, "users": 150, "candidates": 15}
    plain = attacked(steps_of("cooccurrence", 1), **shape, by_item=False)
    assert plain["law"]["value"] > 0.3
    assert plain["everyone"]["value"] > 0.95
    hushed = Steps.parse({"sample": {"min_support": 1_000}, "refine": {"align": None}})
    silent = attacked(hushed, **shape, by_item=False)
    assert silent["rows"] == 0
    assert silent["everyone"]["value"] == 0.0
    assert abs(silent["law"]["value"]) < 0.3
    told = ", ".join(
        f"{one['law']['value']:.2f} {name}" for one, name in ((plain, "unprotected"), (silent, "of nothing"))
    )
    record_property(FIGURE, ("advantage of a short membership attack", told))


def test_parts_of_real_logs_share_nobody_and_worlds_no_candidate():
    """The user's id is its only time, so that it can be told after users are numbered anew."""
    random = np.random.default_rng(0)
    logs = []
    for offset, users in ((0, np.arange(100, 190)), (TARGET_OFFSET, np.arange(110, 200))):  # 80 are in both
        user = np.repeat(users, 6)
        ids = 500 + np.minimum(random.integers(0, 30, len(user)), random.integers(0, 30, len(user)))
        log = frequent(pa.table({"user_id": user, "item_id": ids, "timestamp": user}), 20, offset)
        assert set(log["item"].to_pylist()) == set(range(offset, offset + 20))
        counts = np.unique(log["item"].to_numpy(), return_counts=True)[1]
        left_out = np.unique(ids, return_counts=True)[1]
        assert sorted(counts) == sorted(left_out)[-20:]
        assert list(counts) == sorted(counts, reverse=True)
        logs.append(log)
    parts = thirds((logs[0], logs[1]))
    people = [set(one["time"].to_pylist()) for part in parts for one in part]
    assert people[0] == people[1]
    assert len(people[0] | people[2] | people[4]) == sum(map(len, people[::2])) == 78
    assert people[0] | people[2] | people[4] <= set(range(110, 190))
    worlds = worlds_of(parts[0], steps_of("cooccurrence", 1), 4, 6, 20)
    asked = np.concatenate([world.candidates for world in worlds])
    assert len(set(asked.tolist())) == 24
    for world in worlds:
        assert set(np.flatnonzero(~world.is_in)) <= set(world.candidates)
        assert set(world.released[:, 0]) <= set(np.flatnonzero(world.is_in))
        assert world.support(-1).max() == world.counts()[world.support(-1) >= 0].max()
    assert 0 < sum(int(world.is_in[world.candidates].sum()) for world in worlds) < 24


def test_no_attack_beats_the_bound_of_the_noise():
    assert ceiling(steps_of("cooccurrence", 1, epsilon=1.0)) == pytest.approx((math.e - 1) / (math.e + 1) + 1e-6)
