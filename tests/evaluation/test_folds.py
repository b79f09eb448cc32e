from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.learning import folds, grouped_pair, with_newcomers
from tests.worlds import small_pair, small_tables

from scalr.evaluation.folds import impression_folds, rehearsal, split
from scalr.foundation.config import SplitSettings
from scalr.foundation.errors import ConfigError, LeakError, SchemaError
from scalr.logs.reading import read_pair

HALF_HIDDEN = SplitSettings(hide_overlap=0.5)


def test_nothing_that_may_be_fitted_is_later_than_its_cut():
    folds = split(small_pair(), HALF_HIDDEN)
    for fold in (folds.validation, folds.test):
        assert max(fold.pair.source.time.max(), fold.pair.target.time.max()) < fold.until
    assert folds.validation.until < folds.test.until


def test_source_events_at_the_cut_are_not_fitted():
    pair = small_pair()
    cuts = [fold.until for fold in (split(pair, SplitSettings()).validation, split(pair, SplitSettings()).test)]
    for name, cut in zip(("validation", "test"), cuts, strict=True):
        time = np.where(pair.source.time >= cut, cut, pair.source.time)  # the order of the events stays canonical
        fold = getattr(split(replace(pair, source=replace(pair.source, time=time)), SplitSettings()), name)
        assert fold.until == cut
        assert fold.pair.source.time.max() < cut
        assert len(fold.pair.source) == (pair.source.time < cut).sum() < len(pair.source)


def test_shares_are_those_asked_for():
    pair = small_pair()
    folds = split(pair, SplitSettings(test_share=0.3, validation_share=0.2))
    times = pair.target.time
    assert (times >= folds.test.until).mean() == pytest.approx(0.3, abs=0.01)
    assert ((times >= folds.validation.until) & (times < folds.test.until)).mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("by", ["time", "random"])
def test_judged_pairs_are_new_distinct_and_known(by):
    pair = small_pair()
    folds = split(pair, SplitSettings(by=by, hide_overlap=0.5), seed=1)
    target = pair.target
    for fold in (folds.validation, folds.test):
        judged = set(zip(fold.user.tolist(), fold.item.tolist(), strict=True))
        assert len(judged) == len(fold.user) > 0
        fitted = fold.pair.target
        assert not judged & set(zip(fitted.user.tolist(), fitted.item.tolist(), strict=True))
        assert np.isin(fold.item, fitted.item).all()
        if by == "time":
            seen = target.time < fold.until  # hidden users' earlier pairs are not new either
            assert not judged & set(zip(target.user[seen].tolist(), target.item[seen].tolist(), strict=True))


def test_every_judged_or_left_out_pair_is_counted_once():
    pair = small_pair()
    fold = split(pair, HALF_HIDDEN).test
    late = pair.target.time >= fold.until
    in_period = set(zip(pair.target.user[late].tolist(), pair.target.item[late].tolist(), strict=True))
    assert len(fold.user) + sum(fold.left_out.values()) == len(in_period)


def test_hidden_users_are_a_seeded_share_of_the_overlap_users_and_cold():
    pair = small_pair(users=400)
    folds = split(pair, HALF_HIDDEN, seed=3)
    again, other = split(pair, HALF_HIDDEN, seed=3), split(pair, HALF_HIDDEN, seed=4)
    np.testing.assert_array_equal(folds.hidden_users, again.hidden_users)
    assert not np.array_equal(folds.hidden_users, other.hidden_users)
    assert len(folds.hidden_users) / len(pair.overlap_users) == pytest.approx(0.5, abs=0.12)
    for fold in (folds.validation, folds.test):
        assert not np.isin(fold.pair.target.user, folds.hidden_users).any()
        assert fold.is_cold(folds.hidden_users).all()
        assert np.isin(folds.hidden_users, fold.pair.source.user).any(), "their source history stays"


def test_naturally_cold_users_have_no_event_before_the_period_not_even_a_hidden_one():
    both = folds(with_newcomers(grouped_pair()), hide=0.5)
    for fold in (both.validation, both.test):
        users = np.arange(len(fold.seen.users), dtype=np.int32)
        natural = fold.is_naturally_cold(users)
        np.testing.assert_array_equal(natural, ~np.isin(users, fold.seen.user))
        assert fold.is_cold(users)[natural].all()
        hidden = np.intersect1d(both.hidden_users, fold.seen.user)
        assert len(hidden) > 50
        assert not natural[hidden].any()
    judged = both.test.is_naturally_cold(np.unique(both.test.user))
    assert 10 <= judged.sum() < len(judged) / 2


def test_impressions_without_a_conversion_before_the_period_are_naturally_cold():
    pair = with_newcomers(grouped_pair())
    label = (np.random.default_rng(0).random(len(pair.target)) < 0.3).astype(np.int8)
    pair = replace(pair, target=replace(pair.target, label=label))
    test = impression_folds(pair, SplitSettings(hide_overlap=0.5), label_delay_days=20)[1]
    converted = test.fold.seen.user[test.fold.seen.label == 1]
    natural = test.in_segment("naturally_cold")
    np.testing.assert_array_equal(natural, ~np.isin(test.user, converted))
    assert not (natural & test.in_segment("warm")).any()
    assert 0 < natural.sum() < test.in_segment("cold").sum()


def test_the_guard_refuses_what_saw_the_judged_period():
    fold = split(small_pair(), SplitSettings()).test
    fold.guard(fold.until - 1, "a model")
    fold.guard(None, "a model without time")
    with pytest.raises(LeakError, match="a model saw an event of 2020-10-"):
        fold.guard(fold.until, "a model")


def test_random_split_does_not_depend_on_row_order_or_seed():
    source, target = small_tables()
    order = np.random.default_rng(1).permutation(len(target))
    random = SplitSettings(by="random")
    one, other = split(read_pair(source, target), random, 0), split(read_pair(source, target.take(order)), random, 7)
    np.testing.assert_array_equal(one.test.user, other.test.user)
    np.testing.assert_array_equal(one.test.item, other.test.item)


def test_test_from_names_the_first_instant():
    fold = split(small_pair(), SplitSettings(test_from="2020-10-10")).test
    assert fold.until == 1_602_288_000 * 1_000_000
    assert split(small_pair(), SplitSettings(test_from="1602288000")).test.until == fold.until


@pytest.mark.parametrize("instant", ["2010-01-01", "2030-01-01"])
def test_a_cut_with_nothing_on_one_side_is_refused(instant):
    with pytest.raises(ConfigError, match=r"no positive target event is .* period .*2020-09-13"):
        split(small_pair(), SplitSettings(test_from=instant))


def test_all_events_at_one_instant_cannot_be_cut():
    source, target = small_tables()
    same = target.set_column(2, "time", pa.array(np.full(len(target), 1_600_000_000)))
    with pytest.raises(ConfigError, match="no positive target event is before"):
        split(read_pair(source, same), SplitSettings())


def test_a_split_by_time_needs_times():
    source, target = (table.drop_columns(["time"]) for table in small_tables())
    with pytest.raises(SchemaError, match="has no time column"):
        split(read_pair(source, target), SplitSettings())


def test_labels_of_zero_stay_in_the_logs_but_are_not_judged():
    source, target = small_tables()
    label = np.random.default_rng(2).integers(0, 2, len(target))
    pair = read_pair(source, target.append_column("label", pa.array(label)))
    fold = split(pair, SplitSettings()).test
    assert (fold.pair.target.label == 0).any()
    positive = pair.target.positives()
    judged = set(zip(fold.user.tolist(), fold.item.tolist(), strict=True))
    assert judged <= set(zip(positive.user.tolist(), positive.item.tolist(), strict=True))


def test_the_guard_refuses_what_was_fitted_on_other_target_events():
    """Hidden or held-out events leak without being later than the cut; the digest tells."""
    pair = small_pair()
    random, hidden = split(pair, SplitSettings(by="random")).test, split(pair, HALF_HIDDEN).test
    for fold in (random, hidden):
        fold.guard_log(fold.pair.target.digest(), "a model")
        fold.guard_log(None, "a model of unknown origin")
        with pytest.raises(LeakError, match="a translation was fitted on other target events"):
            fold.guard_log(pair.target.digest(), "a translation")
    shown = split(pair, SplitSettings()).test
    with pytest.raises(LeakError):
        hidden.guard_log(shown.pair.target.digest(), "a model that saw hidden users")


def test_seen_holds_hidden_events_too():
    pair = small_pair()
    fold = split(pair, HALF_HIDDEN).test
    assert len(fold.seen) == (pair.target.time < fold.until).sum() > len(fold.pair.target)


@pytest.mark.parametrize("by", ["time", "random"])
def test_the_near_rehearsal_is_judged_as_the_validation_fold_is(by):
    pair, settings = small_pair(), SplitSettings(by=by, hide_overlap=0.5)
    folds, near = split(pair, settings, seed=2), rehearsal("near", pair, settings, seed=2)
    np.testing.assert_array_equal(near.hidden_users, folds.hidden_users)
    assert (near.test.name, near.test.until) == ("test", folds.validation.until)
    assert near.test.pair.target.digest() == folds.validation.pair.target.digest()
    np.testing.assert_array_equal(near.test.user, folds.validation.user)
    np.testing.assert_array_equal(near.test.item, folds.validation.item)


@pytest.mark.parametrize(("by", "name"), [("time", "near"), ("time", "far"), ("random", "near"), ("random", "far")])
def test_a_rehearsal_is_a_split_of_what_is_before_the_test_period(by, name):
    """What a log without its test period gives, periods of the same lengths in it."""
    pair, settings = small_pair(users=200), SplitSettings(by=by, test_share=0.3, validation_share=0.1)
    rehearsed, folds = rehearsal(name, pair, settings), split(pair, settings)
    time, n = pair.target.time, len(pair.target)
    judged = set(zip(rehearsed.test.user.tolist(), rehearsed.test.item.tolist(), strict=True))
    assert len(judged) > 5
    assert not judged & set(zip(folds.test.user.tolist(), folds.test.item.tolist(), strict=True))
    before = len(rehearsed.test.seen)
    assert before == pytest.approx(n * (0.6 if name == "near" else 0.4), abs=0.06 * n)
    assert len(rehearsed.validation.seen) == pytest.approx(before - 0.1 * n, abs=0.06 * n)
    if by == "time":
        cut = folds.test.until
        source, target = pair.source.take(pair.source.time < cut), pair.target.take(time < cut)
        shares = {"test_share": (0.1 if name == "near" else 0.3) / 0.7, "validation_share": 0.1 / 0.7}
        same = split(replace(pair, source=source, target=target), settings.model_copy(update=shares))
        for one, other in ((rehearsed.validation, same.validation), (rehearsed.test, same.test)):
            assert one.until == other.until
            assert one.pair.target.digest() == other.pair.target.digest()
            np.testing.assert_array_equal(one.user, other.user)
            np.testing.assert_array_equal(one.item, other.item)


@pytest.mark.parametrize("name", ["near", "far"])
def test_users_hidden_from_a_study_are_hidden_from_its_rehearsals(name):
    pair = small_pair(users=200)
    hidden = split(pair, HALF_HIDDEN, seed=2).hidden_users
    rehearsed = rehearsal(name, pair, HALF_HIDDEN, seed=2)
    for fold in (rehearsed.validation, rehearsed.test):
        assert not np.isin(fold.pair.target.user, hidden).any()
        assert np.isin(fold.user, hidden).any()


def test_a_far_rehearsal_is_as_long_as_a_named_test_period():
    pair, settings = small_pair(), SplitSettings(test_from="2020-10-10", validation_share=0.2)
    folds, far = split(pair, settings), rehearsal("far", pair, settings)
    time = pair.target.time
    tested, judged = (time >= folds.test.until).sum(), ((time >= far.test.until) & (time < folds.test.until)).sum()
    assert judged == pytest.approx(tested, abs=2)
    assert ((time >= far.validation.until) & (time < far.test.until)).sum() == pytest.approx(0.2 * len(time), abs=2)


@pytest.mark.parametrize("by", ["time", "random"])
def test_without_room_there_is_no_rehearsal(by):
    settings = SplitSettings(by=by, test_share=0.5, validation_share=0.2)
    assert rehearsal("near", small_pair(), settings) is not None
    assert rehearsal("far", small_pair(), settings) is None
    late = SplitSettings(test_share=0.6, validation_share=0.19)
    source, target = small_tables()
    no_early_source = source.filter(pc.greater(source["time"], 1_600_000_000 + 8 * 86_400))
    assert rehearsal("near", read_pair(source, target), late) is not None
    assert rehearsal("near", read_pair(no_early_source, target), late) is None
