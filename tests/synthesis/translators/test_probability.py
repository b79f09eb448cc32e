"""`probability` of every translator: against dense counts, against closed forms, and against draws."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from tests.backoff_tables import BackoffTables, categorised_pair
from tests.worlds import CountTable, small_pair

from scalr.foundation.config import SampleSettings, TranslateSettings
from scalr.foundation.errors import ConfigError
from scalr.logs.reading import read_pair
from scalr.logs.stored import StoredPair
from scalr.synthesis.kernels.candidate_choice import LEAST_AFFINITY
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit, translator_names

ALPHA = 1e-4  # false-alarm rate of each test against draws; the seeds are fixed


def everything(pair):
    """All (user, item) of a pair."""
    users, items = len(pair.target.users), len(pair.target.items)
    return np.repeat(np.arange(users, dtype=np.int32), items), np.tile(np.arange(items, dtype=np.int32), users)


def whole(translation):
    """P(item | user) as a dense matrix."""
    pair = translation.pair
    return translation.probability(*everything(pair)).reshape(len(pair.target.users), -1)


def averaged(pair, law):
    """The mean of a dense law over the source events of each user."""
    wanted = np.zeros((len(pair.target.users), len(pair.target.items)))
    source = pair.source.positives()
    for u, j in zip(source.user, source.item, strict=True):
        wanted[u] += law(u, j)
    return wanted / np.maximum(np.bincount(source.user, minlength=len(wanted)), 1)[:, None]


@pytest.mark.parametrize("window_days", [None, 12.0])
def test_cooccurrence_agrees_with_dense_counts(window_days):
    pair = small_pair()
    found = whole(fit(pair, settings=TranslateSettings(window_days=window_days)))
    np.testing.assert_allclose(found, averaged(pair, CountTable(pair, window_days).law), atol=1e-12)
    assert found.max() > 0.1


@pytest.mark.parametrize("k", [2, 3])
def test_a_pair_with_exactly_k_others_behind_it_keeps_its_probability(k):
    pair = small_pair(users=12, events=(60, 60))
    table = CountTable(pair, None)

    def law(user, item):
        return np.where(table.counts(user, item) >= k, table.law(user, item), 0.0)

    at_the_bound = [table.counts(u, j) == k for u, j in zip(pair.source.user, pair.source.item, strict=True)]
    assert np.any(at_the_bound)
    found = whole(fit(pair, settings=TranslateSettings(privacy={"k": k})))
    np.testing.assert_allclose(found, averaged(pair, law), atol=1e-12)


def test_a_cap_on_histories_agrees_with_draws_that_say_their_probability():
    """Every item that a source event can give is drawn, so the confidences of its draws are its whole law."""
    pair = small_pair()
    translation = fit(pair, settings=TranslateSettings(history_cap=2))
    events = sample(translation, SampleSettings(draws_per_event=400))
    law = np.zeros((len(pair.source), len(pair.target.items)))
    law[events.source_row, events.item] = events.confidence
    assert set(np.round(law.sum(axis=1), 5)) == {1.0}
    np.testing.assert_allclose(whole(translation), averaged_rows(pair, law), atol=1e-6)


def averaged_rows(pair, law):
    wanted = np.zeros((len(pair.target.users), law.shape[1]))
    np.add.at(wanted, pair.source.user, law)
    return wanted / np.maximum(np.bincount(pair.source.user, minlength=len(wanted)), 1)[:, None]


@pytest.mark.parametrize("window_days", [None, 12.0])
def test_conditioned_agrees_with_dense_counts_times_affinity(window_days):
    pair = small_pair()
    translation = fit(pair, "conditioned", settings=TranslateSettings(window_days=window_days, rank=5))
    tables, affinity = CountTable(pair, window_days), translation.affinity
    near = affinity.user_factors @ affinity.item_factors.T
    near[pair.target.user, pair.target.item] = (near - affinity.own_share[:, None])[
        pair.target.user, pair.target.item
    ]  # an item that stands twice loses its share once
    near = np.maximum(near, LEAST_AFFINITY).astype(np.float64)

    def law(user, source_item):
        mass = tables.counts(user, source_item) * near[user]
        return mass / mass.sum() if mass.sum() else mass

    np.testing.assert_allclose(whole(translation), averaged(pair, law), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("more", [{}, {"history_cap": 2}, {"window_days": 10.0}])
def test_back_off_gives_the_mixed_law(more):
    pair = categorised_pair(seed=1, users=25, source_items=12, target_items=30, events=(60, 60))
    tables = BackoffTables(pair, 3.0, more.get("history_cap"), more.get("window_days"))
    found = whole(fit(pair, settings=TranslateSettings(backoff=3.0, **more)))
    np.testing.assert_allclose(found, averaged(pair, tables.confidence), atol=1e-6)


def test_conditioned_does_not_guess_the_mixed_law():
    translation = fit(small_pair(), "conditioned", settings=TranslateSettings(backoff=3.0))
    with pytest.raises(ConfigError, match="back-off of 3"):
        translation.probability(np.zeros(1, np.int32), np.zeros(1, np.int32))


def test_a_single_user_has_no_others():
    pair = read_pair(pa.table({"user": [0], "item": [9]}), pa.table({"user": [0, 0], "item": [100, 101]}))
    for translator in ("cooccurrence", "conditioned", "factor", "popularity"):
        assert whole(fit(pair, translator)).sum() == 0
    assert whole(fit(pair, settings=TranslateSettings(backoff=2.0))).sum() == 0


@pytest.mark.parametrize("translator", translator_names())
def test_probabilities_are_the_frequencies_of_draws(translator):
    """Chi-square per user over items, pooled; at `ALPHA`. Items that cannot be drawn have probability 0."""
    pair = small_pair(events=(150, 200))
    translation = fit(pair, translator, settings=TranslateSettings(candidates=600, rank=4))
    draws = 20 if translator == "conditioned" else 600
    statistic, freedom = 0.0, 0
    law, found = whole(translation), np.zeros((len(pair.target.users), len(pair.target.items)))
    for seed in range(10 if translator == "conditioned" else 1):
        events = sample(translation, SampleSettings(draws_per_event=draws), seed=seed)
        np.add.at(found, (events.user, events.item), 1)
    assert found[law == 0].sum() == 0
    events_of_user = np.bincount(pair.source.user, minlength=len(law)) * draws
    events_of_user *= 10 if translator == "conditioned" else 1
    for u in np.flatnonzero(events_of_user):
        expected = law[u] * events_of_user[u]
        assert found[u].sum() == pytest.approx(expected.sum(), abs=1e-3 * events_of_user[u] + 1e-6)
        large = expected >= 5
        statistic += ((found[u] - expected)[large] ** 2 / expected[large]).sum()
        freedom += max(large.sum() - 1, 0)
    assert freedom > 100
    assert stats.chi2.sf(statistic, freedom) > ALPHA


@pytest.mark.parametrize("translator", translator_names())
def test_probabilities_are_never_more_than_one_in_all(translator):
    pair = small_pair(users=90, events=(80, 90))
    found = whole(fit(pair, translator))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found.sum(axis=1) <= 1 + 1e-6).all()
    has_source = np.bincount(pair.source.user, minlength=len(found)) > 0
    assert found[~has_source].sum() == 0
    assert 0 < (~has_source).sum() < len(found)


@pytest.mark.parametrize("translator", translator_names())
def test_the_order_of_asking_and_storing_changes_nothing(translator):
    pair = small_pair()
    translation = fit(pair, translator)
    user, item = everything(pair)
    answers = translation.probability(user, item)
    some = np.random.default_rng(0).permutation(len(user))[:100]
    some = np.concatenate([some, some[:5]])
    np.testing.assert_array_equal(translation.probability(user[some], item[some]), answers[some])
    stored = fit(StoredPair.from_pair(pair), translator)
    np.testing.assert_array_equal(stored.probability(user, item), answers)
    assert len(translation.probability(user[:0], item[:0])) == 0


def test_marginals_have_closed_forms():
    """Three users, items a (all three), b (users 0 and 1), c (user 2); user 0 leaves a, b behind."""
    source = pa.table({"user": [0, 1], "item": [9, 9]})
    target = pa.table({"user": [0, 1, 2, 0, 1, 2, 0], "item": [100, 100, 100, 101, 101, 102, 100]})
    pair = read_pair(source, target)
    at = {int(one): place for place, one in enumerate(pair.target.items.ids.to_pylist())}
    user_at = {int(one): place for place, one in enumerate(pair.target.users.ids.to_pylist())}
    popularity, random = whole(fit(pair, "popularity")), whole(fit(pair, "random"))
    order = [at[100], at[101], at[102]]
    np.testing.assert_allclose(popularity[user_at[0], order], [2 / 4, 1 / 4, 1 / 4])
    np.testing.assert_allclose(random[user_at[1], order], [1 / 3, 1 / 3, 1 / 3])
    assert popularity[user_at[2]].sum() == random[user_at[2]].sum() == 0  # no source event


@pytest.mark.parametrize("translator", ["factor", "popularity", "random"])
def test_a_window_is_ignored_where_it_has_no_meaning(translator):
    pair = small_pair()
    windowed = fit(pair, translator, settings=TranslateSettings(window_days=0.5))
    np.testing.assert_array_equal(whole(windowed), whole(fit(pair, translator)))
