"""Which integer orders are orders of each user's own, and which order all events."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.worlds import small_pair

from scalr.logs.own_order import recognise_order
from scalr.logs.reading import read_pair
from scalr.logs.schema import Columns
from scalr.logs.simulation import simulate

DATA = Path(__file__).parents[3] / "shared" / "data"


def pair_of(user, time, is_target, time_type=None):
    """Return a pair of the events; items repeat."""
    item = np.arange(len(user)) % 7 + 100 * np.asarray(is_target)
    logs = pa.table({"user": np.asarray(user), "item": item, "time": pa.array(time, time_type)})
    return read_pair(logs.filter(pa.array(~is_target)), logs.filter(pa.array(is_target)))


def histories(lengths, seed=0):
    """Return users, places from 0 in each history, and which events are target events."""
    user = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(user)) - np.searchsorted(user, user)
    is_target = np.random.default_rng(seed).random(len(user)) < 0.4
    is_target[:2] = True, False
    return user, place, is_target


def lengths(n, low=3, high=60, seed=1):
    return np.random.default_rng(seed).integers(low, high, n)


@pytest.mark.parametrize("start", [0, 1, 5000, -300])
@pytest.mark.parametrize("n", [3, 50, 500])
def test_places_in_each_history_are_an_own_order(n, start):
    user, place, is_target = histories(lengths(n, low=20))
    assert recognise_order(pair_of(user, place + start, is_target)) == "shared"


def test_short_histories_and_one_very_long_one():
    user, place, is_target = histories([*[4] * 200, 5000])
    assert recognise_order(pair_of(user, place, is_target)) == "shared"


@pytest.mark.parametrize("kept", [0.7, 0.35])
def test_places_may_be_missing_and_a_few_be_repeated(kept):
    user, place, is_target = histories(np.full(100, 200))
    keep = np.random.default_rng(4).random(len(user)) < kept
    place = np.where(np.random.default_rng(5).random(len(user)) < 0.01, np.maximum(place - 1, 0), place)
    assert recognise_order(pair_of(user[keep], place[keep], is_target[keep])) == "shared"


def test_the_rest_of_a_sequence_cannot_be_told_from_days():
    """Two small domains out of many: such logs must be declared."""
    user, place, is_target = histories(np.full(100, 200))
    keep = np.random.default_rng(4).random(len(user)) < 0.05
    assert recognise_order(pair_of(user[keep], place[keep], is_target[keep])) is None


def test_seconds_since_each_users_first_event_are_an_own_order():
    user, place, is_target = histories(lengths(60))
    gaps = np.random.default_rng(6).integers(1, 100_000, len(user))
    time = np.concatenate([np.cumsum(np.where(place[user == one] == 0, 0, gaps[user == one])) for one in range(60)])
    assert recognise_order(pair_of(user, time, is_target)) == "shared"
    assert recognise_order(pair_of(user, time + user * 50_000, is_target)) is None, (
        "seconds of a clock: users start anywhere"
    )


@pytest.mark.parametrize("n", [2, 4, 200])
def test_a_counter_over_all_events_orders_them_all(n):
    user, _, is_target = histories(lengths(n, low=40))
    arrival = np.random.default_rng(7).permutation(len(user))
    assert recognise_order(pair_of(user, arrival, is_target)) is None
    assert recognise_order(pair_of(user, np.arange(len(user)), is_target)) is None, "also if the log is sorted by user"


def test_a_counter_over_the_events_of_each_log_orders_them_all():
    user, _, is_target = histories(lengths(200))
    time = np.where(is_target, np.cumsum(is_target), np.cumsum(~is_target))
    arrival = np.random.default_rng(8).permutation(len(user))
    assert recognise_order(pair_of(user[arrival], time, is_target)) is None


@pytest.mark.parametrize("n_users", [1, 2, 5, 300])
@pytest.mark.parametrize("span", [12, 100, 700, 100_000])
@pytest.mark.parametrize("one_per_day", [False, True])
def test_days_weeks_and_months_of_all_users_are_no_own_order(n_users, span, one_per_day):
    random = np.random.default_rng(span + n_users)
    user, _, is_target = histories(random.integers(4, 20, n_users))
    first = random.integers(0, span, n_users)  # users join at any time
    day = first[user] + (random.random(len(user)) * (span - first[user])).astype(int)
    if one_per_day:
        keep = np.sort(np.unique(np.stack([user, day]), axis=1, return_index=True)[1])
        user, day, is_target = user[keep], day[keep], is_target[keep]
        is_target[:2] = True, False
    assert recognise_order(pair_of(user, day, is_target)) is None


def test_one_row_per_user_and_day_over_years_is_no_own_order():
    random = np.random.default_rng(9)
    user = np.repeat(np.arange(200), 60)
    day = np.concatenate([np.sort(random.permutation(700)[:60]) for _ in range(200)])
    day[::60] = random.integers(0, 7, 200)  # all users join in the first week
    assert recognise_order(pair_of(user, day, random.random(len(user)) < 0.5)) is None


def test_one_user_has_no_own_order():
    user, place, is_target = histories([300])
    assert recognise_order(pair_of(user, place, is_target)) is None


def test_times_are_never_an_own_order():
    user, place, is_target = histories(lengths(100))
    assert recognise_order(pair_of(user, place.astype(np.int32), is_target, pa.int32())) == "shared"
    for time_type in (pa.timestamp("s"), pa.timestamp("us")):
        assert recognise_order(pair_of(user, place, is_target, time_type)) is None
    assert recognise_order(pair_of(user, place + 1_600_000_000, is_target)) is None
    assert recognise_order(pair_of(user, place.astype(np.int32), is_target, pa.date32())) is None


def test_worlds_and_logs_without_time_have_none():
    assert recognise_order(small_pair()) is None
    assert recognise_order(simulate(n_users=200, seed=1).pair) is None
    source, target = pa.table({"user": [1, 2], "item": [1, 2]}), pa.table({"user": [1, 2], "item": [3, 4]})
    assert recognise_order(read_pair(source, target)) is None


def test_logs_that_count_on_their_own_are_told_apart():
    user, _, is_target = histories(lengths(200, low=10))
    place = np.zeros(len(user), int)
    for own in (is_target, ~is_target):
        place[own] = np.arange(own.sum()) - np.searchsorted(user[own], user[own])
    assert recognise_order(pair_of(user, place, is_target)) == "per_log"
    quarters = np.tile(np.arange(4), 400)
    panel = pair_of(np.repeat(np.arange(200), 8), quarters, np.tile(np.repeat([True, False], 4), 200))
    assert recognise_order(panel) is None, "one row of every user in every quarter"


def test_only_some_users_of_large_logs_are_looked_at(monkeypatch):
    monkeypatch.setattr("scalr.logs.own_order.MOST_EVENTS", 500)
    user, place, is_target = histories(lengths(500))
    assert recognise_order(pair_of(user, place, is_target)) == "shared"
    assert recognise_order(pair_of(user, np.arange(len(user)), is_target)) is None


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the five pairs of logs in ../shared/data")
@pytest.mark.parametrize(
    ("name", "time", "expected"),
    [
        ("kuairand_t9_t4", "position", "shared"),
        ("amazon_food_kitchen", "timestamp", None),
        ("amazon_beauty_electronics", "timestamp", None),
        ("ciao_c10_c24", "timestamp", None),
        ("completejourney_grocery_drug", "timestamp", None),
    ],
)
def test_real_logs(name, time, expected):
    logs = [pq.read_table(DATA / name / f"{side}.parquet") for side in ("source", "target")]
    assert recognise_order(read_pair(*logs, columns=Columns(time=time))) == expected
    if expected is None:  # neither are days or weeks as plain numbers
        for seconds in (86_400, 7 * 86_400):
            coarse = [log.drop_columns(time).append_column(time, pc.divide(log[time], seconds)) for log in logs]
            assert recognise_order(read_pair(*coarse, columns=Columns(time=time))) is None
