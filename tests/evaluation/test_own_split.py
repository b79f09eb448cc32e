"""Splits of logs whose time column orders the events of each user only."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from scalr.evaluation.folds import DAY, impression_folds, rehearsal, split
from scalr.evaluation.periods import split_rule
from scalr.evaluation.training import fading, train
from scalr.foundation.config import SplitSettings, TrainSettings
from scalr.foundation.errors import ConfigError, LeakError, SchemaError
from scalr.logs.reading import read_pair
from scalr.synthesis import fit, sample

PER_USER = SplitSettings(by="per_user")


def own_tables(seed: int = 0, users: int = 40, shift: dict[int, int] | None = None) -> tuple[pa.Table, pa.Table]:
    """Return logs in which every user counts source and target events together, from 0, up to 20 to 60."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for place in range(random.integers(20, 61)):
            is_target = random.random() < 0.4
            item = random.integers(0, 12) + (100 if is_target else 0)
            rows.append((user, item, place + (shift or {}).get(user, 0), is_target))
    user, item, position, is_target = (np.array(column) for column in zip(*rows, strict=True))
    logs = pa.table({"user": user, "item": item, "time": position})
    return logs.filter(pa.array(~is_target)), logs.filter(pa.array(is_target))


def own_pair(seed: int = 0, **shape):
    return read_pair(*own_tables(seed, **shape))


def folds_of(pair, settings, seed=0):
    both = split(pair, settings, seed)
    rehearsed = [rehearsal(name, pair, settings, seed) for name in ("near", "far")]
    assert all(rehearsed)
    return [fold for one in (both, *rehearsed) for fold in (one.validation, one.test)]


def in_log(log, fold, name):
    """Return (user, item, position) of the events of a fold's log, in the numbers of the whole log."""
    kept = getattr(fold.pair, name)
    return set(zip(kept.user.tolist(), kept.item.tolist(), (kept.time + fold.cuts[kept.user]).tolist(), strict=True))


def test_an_order_of_each_users_own_is_split_per_user_without_being_asked():
    both = split(own_pair(), SplitSettings())
    assert both.by == "per_user"
    assert both.test.rule.to_json() == {"by": "per_user", "declared": False, "own_order": True}


def test_each_users_last_tenth_and_fifth_are_the_periods():
    place = np.tile(np.arange(20), 30)
    user = np.repeat(np.arange(30), 20)
    is_target = place % 2 == 1  # ten target events each, at 1, 3, ..., 19
    logs = pa.table({"user": user, "item": (place * 7 + user) % 5 + 100 * is_target, "time": place})
    pair = read_pair(logs.filter(pa.array(~is_target)), logs.filter(pa.array(is_target)))
    both = split(pair, SplitSettings())
    np.testing.assert_array_equal(both.test.cuts, np.full(30, 17))  # 17 and 19 are the last fifth
    np.testing.assert_array_equal(both.validation.cuts, np.full(30, 15))
    test, validation = both.test.pair, both.validation.pair
    assert (len(test.source), len(test.target)) == (30 * 9, 30 * 8)
    assert (len(validation.source), len(validation.target)) == (30 * 8, 30 * 7)
    assert test.source.time.max() == -1
    assert test.target.time.max() == -2  # 15, two places before the cut
    near, far = rehearsal("near", pair, SplitSettings()), rehearsal("far", pair, SplitSettings())
    assert (near.test.cuts[0], near.validation.cuts[0]) == (15, 13)
    assert (far.test.cuts[0], far.validation.cuts[0]) == (13, 11)


def test_nothing_of_a_user_after_the_own_cut_is_visible_and_everything_before_it_is():
    pair = own_pair()
    for fold in folds_of(pair, SplitSettings(hide_overlap=0.3), 2):
        assert fold.until == 0
        hidden = np.setdiff1d(pair.target.user, fold.pair.target.user)
        for name in ("source", "target"):
            log, kept = getattr(pair, name), getattr(fold.pair, name)
            assert kept.time.max() < 0
            is_before = log.time < fold.cuts[log.user]
            expected = log.take(is_before & ~np.isin(log.user, hidden) if name == "target" else is_before)
            assert in_log(log, fold, name) == set(
                zip(expected.user.tolist(), expected.item.tolist(), expected.time.tolist(), strict=True)
            )
        late = pair.target.time >= fold.cuts[pair.target.user]
        after = set(zip(pair.target.user[late].tolist(), pair.target.item[late].tolist(), strict=True))
        assert set(zip(fold.user.tolist(), fold.item.tolist(), strict=True)) <= after


def test_one_cut_for_everybody_judges_users_of_long_sequences_only():
    """The split that logs of this kind had before: users whose sequence ends before the cut are never judged."""
    pair = own_pair()
    together, own = split(pair, SplitSettings(by="time")).test, split(pair, SplitSettings()).test
    last = np.zeros(len(pair.target.users), np.int64)
    np.maximum.at(last, pair.target.user, pair.target.time)
    assert (last < together.until).sum() > 5
    assert not np.isin(np.flatnonzero(last < together.until), together.user).any()
    assert len(np.unique(own.user)) > len(np.unique(together.user))
    assert together.rule.to_json() == {"by": "time", "declared": True, "own_order": True}


def test_shares_hold_on_average_for_users_with_one_event():
    n = 4000
    source = pa.table({"user": np.repeat(np.arange(n), 2), "item": np.tile([1, 2], n), "time": np.tile([0, 1], n)})
    target = pa.table({"user": np.arange(n), "item": np.arange(n) % 9 + 100, "time": np.full(n, 2)})
    pair = read_pair(source, target)
    both = split(pair, PER_USER)
    assert len(both.test.pair.target) / n == pytest.approx(0.8, abs=0.02)  # five standard errors: 0.032
    assert len(both.validation.pair.target) / n == pytest.approx(0.7, abs=0.03)
    assert both.test.is_cold(both.test.user).all(), "their only event is judged"
    early = both.test.cuts == 3  # after their last event: nothing of these users is judged
    assert early.mean() == pytest.approx(0.8, abs=0.02)
    assert not early[both.test.user].any()


def test_events_at_the_same_place_are_in_the_same_period():
    pair = own_pair()
    coarse = replace(
        pair,
        source=replace(pair.source, time=pair.source.time // 8),
        target=replace(pair.target, time=pair.target.time // 8),
    )
    for fold in folds_of(coarse, PER_USER):
        assert max(fold.pair.source.time.max(), fold.pair.target.time.max()) < 0


def test_a_users_numbers_may_begin_anywhere():
    shift = {user: int(1000 * np.sin(user)) for user in range(40)}
    plain, moved = own_pair(), own_pair(shift=shift)
    for one, other in zip(folds_of(plain, PER_USER, 1), folds_of(moved, PER_USER, 1), strict=True):
        assert one.pair.target.digest() == other.pair.target.digest()
        assert one.pair.source.digest() == other.pair.source.digest()
        np.testing.assert_array_equal(one.user, other.user)
        np.testing.assert_array_equal(one.item, other.item)
        moves = np.array([shift[user.as_py()] for user in plain.target.users.ids])
        np.testing.assert_array_equal(one.cuts + moves, other.cuts)


def test_a_split_per_user_does_not_depend_on_the_order_of_rows():
    source, target = own_tables()
    rows = np.random.default_rng(5).permutation(len(target))
    one, other = (
        split(read_pair(source, target), PER_USER).test,
        split(read_pair(source, target.take(rows)), PER_USER).test,
    )
    assert one.pair.target.digest() == other.pair.target.digest()
    np.testing.assert_array_equal(one.cuts, other.cuts)


def test_the_guard_refuses_what_was_fitted_on_the_whole_logs():
    pair = own_pair()
    fold = split(pair, SplitSettings()).test
    fold.guard(-1, "a model")
    with pytest.raises(LeakError, match="at 0 after the user's own cut, inside the test period"):
        fold.guard(0, "a model")
    steps = {"settings": TrainSettings(max_epochs=1)}
    own = sample(fit(fold.pair), seed=0)
    train(fold, own, seed=0, epochs=1, **steps)
    whole = sample(fit(pair), seed=0)
    with pytest.raises(LeakError):
        train(fold, whole, seed=0, epochs=1, **steps)
    later = replace(fold, pair=pair)
    with pytest.raises(LeakError, match="the target log saw an event"):
        train(later, None, seed=0, epochs=1, **steps)


def test_age_is_counted_from_each_users_own_cut():
    fold = split(own_pair(), SplitSettings()).test
    log = fading(fold.pair.target, 0.25)
    span = int(log.time.max() - log.time.min())
    expected = 0.5 ** ((log.time.max() - log.time) / span / 0.25)
    np.testing.assert_allclose(log.weight, expected / expected.mean(), rtol=1e-5)
    last = np.full(len(log.users), -(2**62))
    np.maximum.at(last, log.user, log.time)
    newest = log.weight[log.time == last[log.user]]
    assert newest.min() > np.median(log.weight), "the last events of users count most, wherever their numbers end"


def test_a_first_instant_is_refused():
    with pytest.raises(ConfigError, match="follows from the time column"):
        split(own_pair(), SplitSettings(test_from="30"))
    with pytest.raises(ConfigError, match="which is declared"):
        split(own_pair(), SplitSettings(by="per_user", test_from="30"))
    assert split(own_pair(), SplitSettings(by="time", test_from="30")).test.until == 30


def test_logs_that_count_on_their_own_need_a_declaration():
    source, target = own_tables()

    def counted(table):
        user = np.asarray(table["user"])
        place = np.arange(len(user)) - np.searchsorted(user, user)
        return table.set_column(2, "time", pa.array(place))

    pair = read_pair(counted(source), counted(target))
    with pytest.raises(SchemaError, match="in each log separately"):
        split(pair, SplitSettings())
    assert split_rule(pair, SplitSettings(by="time")).has_own_order
    assert split(pair, SplitSettings(by="random")).by == "random"


def test_real_times_may_be_split_per_user_and_keep_their_differences():
    source, target = own_tables()

    def dated(table):
        return table.set_column(2, "time", pa.array(np.asarray(table["time"]) * 86_400 + 1_600_000_000))

    pair = read_pair(dated(source), dated(target))
    assert split(pair, SplitSettings()).by == "time"
    fold = split(pair, PER_USER).test
    assert fold.rule.to_json() == {"by": "per_user", "declared": True, "own_order": False}
    places = split(own_pair(), PER_USER).test
    np.testing.assert_array_equal(fold.pair.target.time, places.pair.target.time * DAY)


def test_impressions_are_split_by_the_same_rule():
    source, target = own_tables(users=60)
    label = np.random.default_rng(3).random(len(target)) < 0.5
    pair = read_pair(source, target.append_column("label", pa.array(label.astype(np.int8))))
    validation, test = impression_folds(pair, SplitSettings())
    cuts = test.fold.cuts
    assert test.fold.rule.by == "per_user"
    late = pair.target.time >= cuts[pair.target.user]
    np.testing.assert_array_equal(test.user, pair.target.user[late])
    np.testing.assert_array_equal(test.item, pair.target.item[late])
    assert validation.fold.pair.target.time.max() < 0
    with pytest.raises(ConfigError, match="an order, which has no days"):
        impression_folds(pair, SplitSettings(), label_delay_days=1.0)
