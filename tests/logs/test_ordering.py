"""Events are sorted by group, member, time and further columns, whatever the threads and the form of the times."""

from typing import Any

import numpy as np
import pytest

from scalr.logs.ordering import Coded, PackedTimes, arrange, pack_times

SECOND, HOUR = 1_000_000, 3_600_000_000
N_GROUPS, N_MEMBERS = 7, 3


def events(n: int, seed: int, step: int) -> dict[str, Any]:
    """Events with few groups, members and times, so that many are equal; values are whole numbers."""
    random = np.random.default_rng(seed)
    return {
        "group": random.integers(0, N_GROUPS, n).astype(np.int32),
        "member": random.integers(0, N_MEMBERS, n).astype(np.int32),
        "time": random.integers(0, 4, n) * step,
        "value": random.integers(0, 3, n).astype(np.float64),
    }


def coded(codes: Any) -> Coded:
    """Codes as they are read: positions among distinct ids, which are in another order."""
    code = np.arange(codes.max() + 1, dtype=np.int32)[::-1].copy()
    return Coded((codes.max() - codes).astype(np.int32), code)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("names", [(), ("value",), ("time",), ("time", "value")])
@pytest.mark.parametrize("step", [1, HOUR, 2**40])
def test_events_are_sorted_by_all_columns(names: tuple[str, ...], step: int, threads: int) -> None:
    for seed in range(20):
        rows = events(40, seed, step)
        wanted = np.lexsort([rows[name] for name in reversed(("group", "member", *names))])
        done = arrange(
            coded(rows["group"]),
            coded(rows["member"]),
            N_GROUPS,
            time=pack_times(rows["time"].copy()) if "time" in names else None,
            columns={"value": rows["value"]} if "value" in names else {},
            threads=threads,
        )
        assert done.start.tolist() == [0, *np.bincount(rows["group"], minlength=N_GROUPS).cumsum()]
        np.testing.assert_array_equal(done.member, rows["member"][wanted])
        if "time" in names:
            assert done.time is not None
            np.testing.assert_array_equal(done.time[:40], rows["time"][wanted])
        if "value" in names:
            np.testing.assert_array_equal(done.columns["value"], rows["value"][wanted])


def test_equal_members_of_two_groups_are_not_mixed() -> None:
    """The last member of group 0 is the first member of group 1, and both have several events."""
    place = np.array([0, 0, 1, 1], np.int32)
    time = np.array([9, 8, 2, 1]) * HOUR
    one = np.zeros(1, np.int32)
    done = arrange(
        Coded(place, np.arange(2, dtype=np.int32)),
        Coded(np.zeros(4, np.int32), one),
        2,
        time=pack_times(time),
        columns={"value": np.zeros(4)},
    )
    assert done.time is not None
    assert (done.time[:4] // HOUR).tolist() == [8, 9, 1, 2]


@pytest.mark.parametrize(
    ("last", "is_packed"),
    [((2**32 - 1) * SECOND, True), (2**32 * SECOND, False), (60_000 * 24 * HOUR, True), (2**32 - 1, True)],
)
def test_times_are_packed_where_they_fit(last: int, is_packed: bool) -> None:
    """Whole days, seconds, milliseconds or microseconds after the first time, as multiples below 2**32."""
    time = np.array([0, last, 0]) + 5
    packed = pack_times(time)
    assert isinstance(packed, PackedTimes) == is_packed
    np.testing.assert_array_equal(packed[:3], time)
