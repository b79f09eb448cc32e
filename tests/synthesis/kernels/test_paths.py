"""The kernels against their slow first versions, bit for bit, however rows are cut and workspaces reused."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.synthesis.kernels import reference_paths as reference

from scalr.synthesis.kernels import path_layout as layout
from scalr.synthesis.kernels import uniform_paths as uniform
from scalr.synthesis.kernels import weighted_items as weighted

STREAM = np.uint64(7)
LAWS = {"sharp": (2.0, 1, False), "flat": (1 / 3, 1, False), "support": (1.0, 3, False), "top": (1.0, 2, True)}


@dataclass
class World:
    """Random events, sorted as the kernels want them, with a few users who have long histories."""

    user: np.ndarray
    time: np.ndarray
    key: np.ndarray
    item_start: np.ndarray
    contributes: np.ndarray
    target_start: np.ndarray
    target_item: np.ndarray
    target_time_start: np.ndarray
    target_time: np.ndarray
    recent: tuple[np.ndarray, np.ndarray, np.ndarray]
    n_target: int

    def workspace(self, weighted: bool = True) -> layout.Workspace:
        n_paths = layout.count_paths(self.user, self.contributes, self.item_start, self.target_start)
        return layout.make_workspace(
            int(np.diff(self.item_start).max()), int(n_paths.max()), self.n_target, weighted=weighted
        )


def world(
    seed: int,
    users: int = 40,
    items: int = 9,
    n_target: int = 30,
    events: int = 300,
    targets: int = 200,
    heavy: int = 0,
    all_contribute: bool = False,
) -> World:
    """Return random events with repeats; the first `heavy` users have every target item."""
    random = np.random.default_rng(seed)
    user = np.minimum(users * random.random(events) ** 2, users - 1).astype(np.int32)
    item = np.minimum(items * random.random(events) ** 2, items - 1).astype(np.int32)
    time = random.integers(0, 60, events)
    order = np.lexsort((time, user, item))
    user, item, time = user[order], item[order], time[order]
    shuns = np.zeros((users, items), np.bool_) if all_contribute else random.random((users, items)) < 0.2
    target_user = np.concatenate([random.integers(0, users, targets), np.repeat(np.arange(heavy), n_target)])
    target = np.concatenate([random.integers(0, n_target, targets), np.tile(np.arange(n_target), heavy)])
    target_time = random.integers(0, 80, len(target))
    by_item = np.lexsort((target_time, target, target_user))
    pair = target_user[by_item] * n_target + target[by_item]
    first = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
    by_time = np.lexsort((target_time, target_user))
    return World(
        user=user,
        time=time,
        key=random.integers(0, 2**63, events).astype(np.uint64),
        item_start=starts(item, items),
        contributes=np.empty(0, np.bool_) if all_contribute else ~shuns[user, item],
        target_start=starts(pair[first] // n_target, users),
        target_item=(pair[first] % n_target).astype(np.int32),
        target_time_start=np.append(first, len(target)),
        target_time=target_time[by_item],
        recent=(starts(target_user, users), target[by_time].astype(np.int32), target_time[by_time]),
        n_target=n_target,
    )


def starts(group: np.ndarray, n: int) -> np.ndarray:
    return np.append(0, np.cumsum(np.bincount(group, minlength=n)))


def expected(w: World, draws: int, window: int, *law) -> tuple[np.ndarray, ...]:
    """What the slow kernels draw; confidence and support are 0 where nothing is drawn."""
    contributes = w.contributes if len(w.contributes) else np.ones(len(w.user), np.bool_)
    n_paths = reference.count_paths(w.user, contributes, w.item_start, w.target_start)
    out = tuple(np.zeros(len(w.user) * draws, kind) for kind in (np.int32, np.float32, np.int32))
    kernel = reference.draw_weighted_items if law else reference.draw_uniform_paths
    kernel(
        (0, len(w.item_start) - 1), draws, STREAM, w.key, w.user, contributes, w.time, w.item_start, w.target_start,
        w.target_item, w.target_time_start, w.target_time, window, int(n_paths.max()), w.n_target, *out, *law,
    )  # fmt: skip
    return out


def drawn(w: World, draws: int, window: int, *law, cuts=(), workspace=None, exact=True) -> tuple[np.ndarray, ...]:
    """What the kernels draw when rows are cut at `cuts`."""
    workspace = workspace or w.workspace()
    bounds = [0, *sorted(cuts), len(w.user)]
    recent = w.recent if window >= 0 else (np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
    time = w.time if window >= 0 else np.empty(0, np.int64)
    paths = layout.Paths(w.user, w.contributes, time, w.item_start, w.target_start, w.target_item, *recent, window)
    parts = []
    for first, last in pairwise(bounds):
        n = (last - first) * draws
        out = tuple(np.zeros(size, kind) for size, kind in ((n + 3, np.int32), (n * exact, "f4"), (n * exact, "i4")))
        rows, result = (first, last), layout.Draws(w.key[first:last], *out)
        if law:
            weighted.draw_weighted_items(workspace, paths, rows, layout.Sampling(draws, *law), STREAM, result)
        else:
            uniform.draw_uniform_paths(workspace, paths, rows, draws, STREAM, result)
        parts.append((out[0][:n], *out[1:]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def assert_same(found, wanted) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


worlds = st.builds(
    partial(world, heavy=0),
    seed=st.integers(0, 2**32),
    users=st.integers(1, 60),
    items=st.integers(1, 12),
    n_target=st.sampled_from([1, 5, 40, 200]),
    events=st.integers(1, 400),
    targets=st.integers(1, 600),
    all_contribute=st.booleans(),
)
windows = st.sampled_from([-1, 0, 3, 25, 1000])
cuts = st.lists(st.floats(0, 1), max_size=6)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 12), windows, cuts, st.sampled_from([None, *LAWS]))
def test_draws_are_those_of_the_slow_kernels_however_rows_are_cut(w, draws, window, shares, name):
    law = LAWS[name] if name else ()
    bounds = [int(share * len(w.user)) for share in shares]
    wanted = expected(w, draws, window, *law)
    assert_same(drawn(w, draws, window, *law, cuts=bounds), wanted)
    np.testing.assert_array_equal(drawn(w, draws, window, *law, cuts=bounds, exact=False)[0], wanted[0])


@pytest.mark.parametrize("heavy", [1, 3, 20])
@pytest.mark.parametrize("all_contribute", [True, False])
def test_users_with_long_histories_are_kept_virtual_and_change_no_draw(heavy, all_contribute):
    for items, events in ((1, 30), (60, 300)):
        w = world(5, items=items, events=events, n_target=2000, heavy=heavy, all_contribute=all_contribute)
        workspace = w.workspace()
        for draws in (1, 3):
            assert_same(drawn(w, draws, -1, workspace=workspace), expected(w, draws, -1))
            found = drawn(w, draws, -1, exact=False, cuts=[17, 25])[0]
            np.testing.assert_array_equal(found, expected(w, draws, -1)[0])
            if items == 1:
                assert workspace.state[layout.N_VIRTUAL] > 0
                assert workspace.state[layout.N_LAID] < 200


@pytest.mark.parametrize("name", [None, *LAWS])
@pytest.mark.parametrize("window", [-1, 25])
def test_long_histories_of_the_own_user_are_searched_and_change_no_draw(name, window):
    """With one draw, 16 own items are already long; the item has events enough for nobody to be virtual."""
    w, law = world(6, items=2, n_target=150, heavy=4), LAWS[name] if name else ()
    assert_same(drawn(w, 1, window, *law), expected(w, 1, window, *law))
    assert_same(drawn(w, 2, window, *law, cuts=range(0, 300, 7)), expected(w, 2, window, *law))


def test_a_popular_item_is_laid_out_once_for_all_its_calls():
    w = world(7, items=1)
    workspace = w.workspace()
    drawn(w, 2, -1, workspace=workspace)
    workspace.path[: workspace.state[layout.WIDTH]] = 11  # what another layout would put right
    assert set(drawn(w, 2, -1, workspace=workspace, cuts=range(0, 300, 50))[0]) <= {11, layout.NO_ITEM}


def test_one_workspace_serves_all_kernels_and_settings_in_turn():
    w = world(8)
    workspace = w.workspace()
    for draws in (1, 7):
        for law in [(), *LAWS.values(), ()]:
            for exact in (True, False):
                found = drawn(w, draws, -1, *law, workspace=workspace, exact=exact, cuts=[100, 101])
                np.testing.assert_array_equal(found[0], expected(w, draws, -1, *law)[0])


def test_stamps_start_again_without_a_trace():
    w = world(9)
    workspace = w.workspace()
    wanted = expected(w, 3, -1)
    assert_same(drawn(w, 3, -1, workspace=workspace), wanted)
    workspace.state[layout.STAMP] = layout.MOST_STAMPS
    assert_same(drawn(w, 3, -1, workspace=workspace), wanted)
    assert 0 < workspace.state[layout.STAMP] < layout.MOST_STAMPS


@pytest.mark.parametrize("draws", [1, 4, 5000])
def test_many_draws_per_event(draws):
    w = world(10, events=20)
    assert_same(drawn(w, draws, -1), expected(w, draws, -1))
    assert_same(drawn(w, draws, -1, *LAWS["sharp"]), expected(w, draws, -1, *LAWS["sharp"]))


def test_few_items_of_a_large_catalogue_are_sorted_and_drawn_alike():
    w = world(11, n_target=200_000, users=10, targets=60)
    for law in LAWS.values():
        assert_same(drawn(w, 4, -1, *law), expected(w, 4, -1, *law))


@pytest.mark.parametrize("draws", [1, 4, 40])
def test_top_items_are_those_of_a_full_sort(draws):
    w = world(12, heavy=2)
    item = drawn(w, draws, -1, 1.0, 1, True)[0].reshape(-1, draws)
    own = [set(w.target_item[w.target_start[u] : w.target_start[u + 1]]) for u in range(40)]
    for j in range(len(w.item_start) - 1):
        rows = range(w.item_start[j], w.item_start[j + 1])
        for x in rows:
            behind = {w.user[y] for y in rows if w.contributes[y]} - {w.user[x]}
            counts = np.array([sum(i in own[u] for u in behind) for i in range(w.n_target)])
            wanted = [i for i in np.lexsort((np.arange(w.n_target), -counts)) if counts[i] > 0][:draws]
            assert [i for i in item[x] if i != layout.NO_ITEM] == wanted
