import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from tests.worlds import CountTable, small_pair, small_tables

from scalr.foundation.config import SampleSettings, TranslateSettings
from scalr.foundation.errors import SchemaError
from scalr.logs.reading import read_pair
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import history_caps as history
from scalr.synthesis.translators.cooccurrence import fit_cooccurrence

ALPHA = 1e-4  # false-alarm rate of every goodness-of-fit test here; seeds are fixed, so a pass stays a pass

SETTINGS = {
    "plain": (SampleSettings(draws_per_event=50), None),
    "sharp": (SampleSettings(draws_per_event=50, temperature=0.5), None),
    "flat": (SampleSettings(draws_per_event=50, temperature=3.0), None),
    "support": (SampleSettings(draws_per_event=50, min_support=6), None),
    "window": (SampleSettings(draws_per_event=50), 10.0),
    "sharp window": (SampleSettings(draws_per_event=50, temperature=0.5, min_support=2), 10.0),
}


def drawn(settings: SampleSettings, window: float | None, seed: int = 3) -> tuple[SyntheticEvents, CountTable]:
    pair = small_pair()
    translation = fit_cooccurrence(pair, TranslateSettings(window_days=window))
    return sample(translation, settings, seed=seed, threads=1), CountTable(pair, window)


@pytest.mark.parametrize("name", SETTINGS)
def test_confidence_and_support_are_those_of_the_count_table(name):
    events, table = drawn(*SETTINGS[name])
    source = events.pair.source
    for row in np.unique(events.source_row):
        mine = events.source_row == row
        counts = table.counts(source.user[row], source.item[row])
        np.testing.assert_array_equal(events.support[mine], counts[events.item[mine]])
        np.testing.assert_allclose(events.confidence[mine], counts[events.item[mine]] / counts.sum(), rtol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_event_that_can_draw_draws_as_often_as_asked_and_no_other_does(name):
    settings, window = SETTINGS[name]
    events, table = drawn(settings, window)
    source = events.pair.source
    laws = [
        table.law(u, j, settings.temperature, settings.min_support).sum()
        for u, j in zip(source.user, source.item, strict=True)
    ]
    expected = np.where(np.array(laws) > 0, settings.draws_per_event, 0)
    np.testing.assert_array_equal(np.bincount(events.source_row, minlength=len(source)), expected)


@pytest.mark.parametrize("name", SETTINGS)
def test_draws_follow_the_law_of_the_count_table(name):
    """Chi-square over all (user, source item), pooled: the statistic of independent multinomials adds up."""
    settings, window = SETTINGS[name]
    events, table = drawn(settings, window)
    source = events.pair.source
    statistic, freedom = 0.0, 0
    users, items = source.user[events.source_row], source.item[events.source_row]
    for u, j in np.unique(np.stack([users, items]), axis=1).T:
        law = table.law(u, j, settings.temperature, settings.min_support)
        found = np.bincount(events.item[(users == u) & (items == j)], minlength=len(law))
        assert found[law == 0].sum() == 0
        expected = law[law > 0] * found.sum()
        statistic += ((found[law > 0] - expected) ** 2 / expected).sum()
        freedom += (law > 0).sum() - 1
    assert stats.chi2.sf(statistic, freedom) > ALPHA
    assert stats.chi2.cdf(statistic, freedom) > ALPHA  # nor suspiciously even


def test_draws_of_one_event_are_independent():
    events, _ = drawn(SampleSettings(draws_per_event=2), None)
    first, second = events.item[events.draw == 0], events.item[events.draw == 1]
    seen = np.zeros((len(events.pair.target.items),) * 2)
    np.add.at(seen, (first, second), 1)
    assert stats.chi2_contingency(seen + 1e-9).pvalue > ALPHA


@pytest.mark.parametrize("draws", [1, 3, 20])
def test_topk_takes_the_highest_counts_without_the_own_user_and_ties_by_item(draws):
    events, table = drawn(SampleSettings(draws_per_event=draws, strategy="topk"), None)
    source = events.pair.source
    for row in range(len(source)):
        counts = table.counts(source.user[row], source.item[row])
        wanted = [i for i in np.lexsort((np.arange(len(counts)), -counts)) if counts[i] > 0][:draws]
        np.testing.assert_array_equal(events.item[events.source_row == row], wanted)


def test_a_source_item_of_one_user_draws_nothing():
    """Leave-one-out: nobody else contributes, so the user's own target items must not come back."""
    source, target = small_tables()
    lonely = pa.table(
        {"user": [1, 1], "item": [999, 999], "time": [1_600_000_000, 1_600_000_001]}, schema=source.schema
    )
    pair = read_pair(pa.concat_tables([lonely, source]), target)
    events = sample(fit_cooccurrence(pair, TranslateSettings()), SampleSettings(), seed=0)
    drawn_from = pair.source.items.ids.take(pa.array(pair.source.item[events.source_row])).to_pylist()
    assert 999 not in drawn_from


def test_history_cap_keeps_the_latest_items_of_each_user_in_both_domains():
    pair = small_pair()
    cap = 2
    translation = fit_cooccurrence(pair, TranslateSettings(history_cap=cap))
    target = pair.target
    for u in range(len(target.users)):
        mine = target.user == u
        last = {i: target.time[mine & (target.item == i)].max() for i in np.unique(target.item[mine])}
        wanted = sorted(sorted(last, key=lambda i: (-last[i], i))[:cap])
        start, end = translation.target.start[u], translation.target.start[u + 1]
        assert translation.target.item[start:end].tolist() == wanted
    source = pair.source
    contributes = translation.cutoff.admits(source)
    for u in range(len(target.users)):
        mine = source.user == u
        last = {i: source.time[mine & (source.item == i)].max() for i in np.unique(source.item[mine])}
        wanted = sorted(sorted(last, key=lambda i: (-last[i], i))[:cap])
        assert np.unique(source.item[mine & contributes]).tolist() == wanted


@pytest.mark.parametrize("held", [1, 40, 10**6])
def test_capped_users_may_be_looked_at_in_groups(held, monkeypatch):
    whole = fit_cooccurrence(small_pair(), TranslateSettings(history_cap=3)).cutoff
    monkeypatch.setattr(history, "HELD_INTERACTIONS", held)
    grouped = fit_cooccurrence(small_pair(), TranslateSettings(history_cap=3)).cutoff
    np.testing.assert_array_equal(whole.time, grouped.time)
    np.testing.assert_array_equal(whole.item, grouped.item)


def test_a_cap_above_every_history_changes_nothing():
    pair = small_pair()
    free, capped = (
        sample(fit_cooccurrence(pair, TranslateSettings(history_cap=cap)), SampleSettings(), seed=1)
        for cap in (None, 10_000)
    )
    np.testing.assert_array_equal(free.item, capped.item)


def test_a_window_needs_times():
    source, target = (table.drop_columns(["time"]) for table in small_tables())
    with pytest.raises(SchemaError, match="window_days is 3"):
        fit_cooccurrence(read_pair(source, target), TranslateSettings(window_days=3))


def test_label_zero_neither_contributes_nor_draws():
    random = np.random.default_rng(9)
    labelled = [table.append_column("label", pa.array(random.integers(0, 2, len(table)))) for table in small_tables()]
    positive = [table.filter(pa.compute.equal(table["label"], 1)).drop_columns(["label"]) for table in labelled]
    found = []
    for logs in (labelled, positive):
        events = sample(fit_cooccurrence(read_pair(*logs), TranslateSettings()), seed=1)
        target = events.pair.target
        found.append(
            (
                target.users.ids.take(pa.array(events.user)).to_pylist(),
                target.items.ids.take(pa.array(events.item)).to_pylist(),
                events.support.tolist(),
            )
        )
    assert found[0] == found[1]
    assert found[0][0]


def test_the_lowest_temperature_draws_the_highest_counts():
    """The mean support against its expectation under the law, within 5 standard errors."""
    settings = SampleSettings(draws_per_event=20, temperature=0.05)
    events, table = drawn(settings, None)
    source, mean, variance = events.pair.source, [], []
    for u, j in zip(source.user, source.item, strict=True):
        law, counts = table.law(u, j, settings.temperature), table.counts(u, j)
        mean.append(law @ counts)
        variance.append(law @ counts**2 - mean[-1] ** 2)
    error = np.sqrt(np.mean(variance) / len(events))
    assert events.support.mean() == pytest.approx(np.mean(mean), abs=5 * error)


def test_negatives_of_the_source_change_no_draw():
    """Copies of source events with label 0 must not shift the keys of the positives."""
    source, target = small_tables()
    zeros = source.take(np.random.default_rng(1).integers(0, len(source), 200))
    labelled = pa.concat_tables(
        [
            table.append_column("label", pa.array(np.full(len(table), label)))
            for table, label in ((source, 1), (zeros, 0))
        ]
    )
    one, other = (sample(fit_cooccurrence(read_pair(log, target), TranslateSettings())) for log in (source, labelled))
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_array_equal(one.user, other.user)
