"""Back-off: item → category → popularity, held to dense counts and to closed forms."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.backoff_tables import CATEGORY, BackoffTables, categorised_pair
from tests.worlds import small_tables

from scalr.foundation.config import SampleSettings, TranslateSettings
from scalr.foundation.errors import SchemaError
from scalr.logs.reading import read_pair
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import backoff, fit
from scalr.synthesis.translators.cooccurrence import PathDrawing

ALPHA = 1e-4  # false-alarm rate of every goodness-of-fit test here; seeds are fixed, so a pass stays a pass

THIN = {"users": 25, "source_items": 12, "target_items": 30, "events": (60, 60)}
DENSE = {"users": 60, "source_items": 8, "target_items": 12, "events": (200, 300)}
CASES = {
    "thin": (THIN, {"backoff": 3.0}, {}),
    "thin, sharp": (THIN, {"backoff": 3.0}, {"temperature": 0.6}),
    "thin, supported": (THIN, {"backoff": 3.0}, {"min_support": 2}),
    "thin, capped": (THIN, {"backoff": 3.0, "history_cap": 2}, {}),
    "thin, window": (THIN, {"backoff": 3.0, "window_days": 10}, {}),
    "dense": (DENSE, {"backoff": 100.0}, {}),
    "dense, flat": (DENSE, {"backoff": 100.0}, {"temperature": 3.0, "min_support": 3}),
    "dense, capped window": (DENSE, {"backoff": 40.0, "window_days": 20, "history_cap": 4}, {"temperature": 0.7}),
}


def drawn(
    shape: dict[str, object], translate: dict[str, float], chosen: dict[str, float], draws: int, seed: int = 3
) -> tuple[SyntheticEvents, BackoffTables]:
    pair = categorised_pair(seed=1, **shape)
    translation = fit(pair, settings=TranslateSettings(**translate))
    tables = BackoffTables(pair, translate["backoff"], translate.get("history_cap"), translate.get("window_days"))
    return sample(translation, SampleSettings(draws_per_event=draws, **chosen), seed=seed, threads=1), tables


@pytest.mark.parametrize("name", CASES)
def test_draws_follow_the_law_of_dense_counts(name):
    """Chi-square over all (user, source item), pooled; cells with fewer than 5 expected draws are taken together."""
    shape, translate, chosen = CASES[name]
    events, tables = drawn(shape, translate, chosen, draws=500)
    source = events.pair.source
    users, items = source.user[events.source_row], source.item[events.source_row]
    statistic, freedom = 0.0, 0
    for u, j in np.unique(np.stack([source.user, source.item]), axis=1).T:
        law = tables.law(u, j, chosen.get("temperature", 1.0), chosen.get("min_support", 1))
        found = np.bincount(events.item[(users == u) & (items == j)], minlength=len(law))
        assert found[law == 0].sum() == 0
        expected = law * found.sum()
        few = (expected < 5) & (law > 0)
        pooled = [(found[few].sum(), expected[few].sum())] if few.any() else []
        cells = [*zip(found[expected >= 5], expected[expected >= 5], strict=True), *pooled]
        statistic += sum((one - wanted) ** 2 / wanted for one, wanted in cells)
        freedom += len(cells) - 1
    assert freedom > 100
    assert stats.chi2.sf(statistic, freedom) > ALPHA
    assert stats.chi2.cdf(statistic, freedom) > ALPHA  # nor suspiciously even


@pytest.mark.parametrize("name", CASES)
def test_every_event_draws_and_says_the_smoothed_probability(name):
    shape, translate, chosen = CASES[name]
    events, tables = drawn(shape, translate, chosen, draws=20)
    source, least = events.pair.source, chosen.get("min_support", 1)
    assert (np.bincount(events.source_row, minlength=len(source)) == 20).all()
    for row in range(len(source)):
        u, j = source.user[row], source.item[row]
        mine = events.source_row == row
        wanted = tables.confidence(u, j, least)
        np.testing.assert_allclose(events.confidence[mine], wanted[events.item[mine]], rtol=1e-6)
        levels = np.stack(tables.counts(u, j))[:, events.item[mine]]
        assert ((levels == events.support[mine]).any(axis=0) & (events.support[mine] >= least)).all()


LOGS = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8), st.integers(0, 30)), min_size=n, max_size=n)
)


@settings(max_examples=60, deadline=None)
@given(
    source=LOGS,
    target=LOGS,
    pseudo_paths=st.sampled_from([0.01, 1.0, 50.0]),
    cap=st.sampled_from([None, 1, 3]),
    window=st.sampled_from([None, 4.0]),
    sampling=st.builds(
        SampleSettings,
        min_support=st.integers(1, 3),
        draws_per_event=st.integers(1, 9),
        strategy=st.sampled_from(["sample", "topk"]),
        temperature=st.sampled_from([1.0, 0.05, 5.0]),
    ),
)
def test_any_logs_agree_with_dense_counts(source, target, pseudo_paths, cap, window, sampling):
    def table(rows, offset):
        columns = zip(*rows, strict=True)
        return pa.table(
            {
                name: np.array(column, np.int64) * scale + shift
                for name, column, scale, shift in zip(
                    ("user", "item", "time"), columns, (1, 1, 86_400), (0, offset, 1_600_000_000), strict=True
                )
            }
        )

    items = pa.table({"item": list(CATEGORY), "category": list(CATEGORY.values())})
    pair = read_pair(table(source, 0), table([*target, (source[0][0], 0, 0)], 100), items=add_known(items, source))
    tables = BackoffTables(pair, pseudo_paths, cap, window)
    translation = fit(pair, settings=TranslateSettings(backoff=pseudo_paths, history_cap=cap, window_days=window))
    events = sample(translation, sampling, seed=0, threads=1)
    draws, least = sampling.draws_per_event, sampling.min_support
    log = pair.source
    for row in range(len(log)):
        u, j, mine = log.user[row], log.item[row], events.source_row == row
        found, counts = events.item[mine], np.stack(tables.counts(u, j))
        wanted = tables.confidence(u, j, least)[found]
        np.testing.assert_allclose(events.confidence[mine], wanted, rtol=1e-6)
        if sampling.strategy == "topk":
            assert (found.tolist(), events.support[mine].tolist()) == tables.top(u, j, draws, least)
        else:
            assert len(found) == (draws if counts.max() >= least else 0)
            assert (tables.law(u, j, sampling.temperature, least)[found] > 0).all()
            assert ((counts[:, found] == events.support[mine]).any(axis=0) & (events.support[mine] >= least)).all()


def add_known(items: pa.Table, source: list[tuple[int, int, int]]) -> pa.Table | None:
    """Return the item table, or None where none of its items is in the log."""
    return items if {item for _, item, _ in source} & set(CATEGORY) else None


def tiny_pair():
    """Four users; item 1 and 2 are of one category, item 3 of none, and user 1 has no target item."""
    source = pa.table({"user": [1, 2, 3, 1, 4], "item": [1, 1, 2, 3, 3]})
    target = pa.table({"user": [2, 3, 3, 4], "item": [101, 101, 102, 103]})
    return read_pair(source, target, items=pa.table({"item": [1, 2], "category": ["g", "g"]}))


def test_closed_form():
    """The law of user 1 and item 1 with 2 pseudo-paths, by hand; one multinomial, false alarms as stated above."""
    pair = tiny_pair()
    events = sample(fit(pair, settings=TranslateSettings(backoff=2)), SampleSettings(draws_per_event=100_000), seed=1)
    ids = pair.source.users.ids.to_pylist(), pair.source.items.ids.to_pylist(), pair.target.items.ids.to_pylist()
    source = pair.source
    row = next(x for x in range(len(source)) if ids[0][source.user[x]] == 1 and ids[1][source.item[x]] == 1)
    popularity = {101: 2 / 4, 102: 1 / 4, 103: 1 / 4}
    category = {i: (n + 2 * popularity[i]) / (3 + 2) for i, n in {101: 2, 102: 1, 103: 0}.items()}
    wanted = {i: (n + 2 * category[i]) / (1 + 2) for i, n in {101: 1, 102: 0, 103: 0}.items()}
    mine = events.source_row == row
    found = np.bincount(events.item[mine], minlength=3)
    expected = np.array([wanted[i] for i in ids[2]])
    assert stats.chisquare(found, expected * 100_000).pvalue > ALPHA
    np.testing.assert_allclose(events.confidence[mine], expected[events.item[mine]], rtol=1e-6)


def test_the_own_user_never_contributes():
    """Users 0 to 19 each have a target item of their own, which nobody may draw for its owner."""
    users = np.arange(20)
    source = pa.table({"user": users, "item": users % 5})
    target = pa.table({"user": users, "item": users + 100})
    items = pa.table({"item": np.arange(4), "category": ["a", "a", "b", "b"]})
    pair = read_pair(source, target, items=items)
    for chosen in ({}, {"temperature": 0.3}, {"strategy": "topk"}):
        translation = fit(pair, settings=TranslateSettings(backoff=2))
        events = sample(translation, SampleSettings(draws_per_event=19, **chosen), seed=1)
        owner = np.array(pair.target.items.ids.to_pylist())[events.item] - 100
        mine = np.array(pair.source.users.ids.to_pylist())[events.user]
        assert len(events) == 20 * 19
        assert not np.any(owner == mine)


def test_items_of_one_user_get_events_that_paths_alone_do_not_give():
    source, target = small_tables()
    lonely = pa.table({"user": [1], "item": [999], "time": [1_600_000_000]}, schema=source.schema)
    pair = read_pair(pa.concat_tables([lonely, source]), target, items=pa.table({"item": [999], "category": ["x"]}))
    code = pair.source.items.ids.to_pylist().index(999)
    found = {}
    for pseudo_paths in (0.0, 1.0):
        events = sample(fit(pair, settings=TranslateSettings(backoff=pseudo_paths)), SampleSettings(draws_per_event=3))
        found[pseudo_paths] = int((pair.source.item[events.source_row] == code).sum())
    assert found == {0.0: 0, 1.0: 3}


def test_none_is_no_wrapper_and_changes_no_draw():
    pair = categorised_pair()
    translation = fit(pair, settings=TranslateSettings(backoff=0))
    assert isinstance(translation.drawing(pair.source, SampleSettings(), seed=0, most=10), PathDrawing)
    plain, almost = (sample(fit(pair, settings=TranslateSettings(backoff=m)), seed=2) for m in (0.0, 1e-12))
    with_paths = np.isin(almost.source_row * 4 + almost.draw, plain.source_row * 4 + plain.draw)
    np.testing.assert_array_equal(almost.item[with_paths], plain.item)  # no pseudo-path, no replacement
    np.testing.assert_allclose(almost.confidence[with_paths], plain.confidence, rtol=1e-6)


@pytest.mark.parametrize("chosen", [{}, {"temperature": 0.7}, {"strategy": "topk"}])
def test_threads_and_chunks_change_nothing(chosen):
    translation = fit(categorised_pair(), settings=TranslateSettings(backoff=30, history_cap=4))
    settings = SampleSettings(draws_per_event=7, **chosen)
    whole = sample(translation, settings, seed=5, threads=1)
    for threads, chunk_rows in ((1, 1), (2, 50), (3, 10**9)):
        other = sample(translation, settings, seed=5, threads=threads, chunk_rows=chunk_rows)
        for name in ("user", "item", "source_row", "draw", "confidence", "support"):
            np.testing.assert_array_equal(getattr(whole, name), getattr(other, name))


@pytest.mark.parametrize("held", [1, 130, 10**9])
def test_categories_may_be_looked_at_in_groups(held, monkeypatch):
    settings = TranslateSettings(backoff=1, history_cap=3)
    whole = fit(categorised_pair(), settings=settings).backoff
    monkeypatch.setattr(backoff, "HELD_BITS", held)
    grouped = fit(categorised_pair(), settings=settings).backoff
    assert whole.n_categories == grouped.n_categories == 3
    for one, other in zip(whole.laws, grouped.laws, strict=True):
        np.testing.assert_array_equal(one, other)


def test_draws_of_one_event_are_independent():
    events, _ = drawn(THIN, {"backoff": 5.0}, {}, draws=2)
    many = sample(fit(events.pair, settings=TranslateSettings(backoff=5)), SampleSettings(draws_per_event=2000), seed=4)
    mine = many.item[many.source_row == 0]
    seen = np.zeros((len(events.pair.target.items),) * 2)
    np.add.at(seen, (mine[::2], mine[1::2]), 1)
    seen = seen[seen.sum(axis=1) > 30][:, seen.sum(axis=0) > 30]
    assert stats.chi2_contingency(seen + 1e-9).pvalue > ALPHA


def test_an_item_with_a_list_of_categories_is_refused():
    items = pa.table({"item": [0, 1], "category": [["a", "b"], ["c"]]})
    pair = read_pair(*small_tables(), items=items)
    with pytest.raises(SchemaError, match="column 'category' of the item table holds list"):
        fit(pair, settings=TranslateSettings(backoff=1))
    assert len(sample(fit(pair), seed=1)) > 0


def heavy_pair():
    """User 0 has 400 of 401 target items, so nearly all proposals for it fail, and few draws look its items up."""
    source = pa.table({"user": [0, 1, 2, 0, 1, 2, 3], "item": [0, 1, 2, 3, 3, 3, 3]})
    users = [0] * 400 + [1, 1, 2, 3]
    target = pa.table({"user": users, "item": [*range(100, 500), 100, 500, 101, 102]})
    return read_pair(source, target, items=pa.table({"item": [0, 1, 2, 3], "category": list("aaab")}))


def test_proposals_that_fail_end_in_the_same_law():
    pair = heavy_pair()
    tables = BackoffTables(pair, 0.5)
    tables.category = pair.items.source["category"].to_pylist()
    events = sample(fit(pair, settings=TranslateSettings(backoff=0.5)), SampleSettings(draws_per_event=4000), seed=1)
    pvalues = []
    for row in np.flatnonzero(pair.source.user == pair.source.users.ids.to_pylist().index(0)):
        law = tables.law(pair.source.user[row], pair.source.item[row])
        found = np.bincount(events.item[events.source_row == row], minlength=len(law))
        assert (law > 0).sum() == 4
        pvalues.append(stats.chisquare(found[law > 0], 4000 * law[law > 0]).pvalue)
    assert len(pvalues) == 2
    assert min(pvalues) > ALPHA / 2


def test_users_who_are_looked_up_are_counted():
    pair = heavy_pair()
    tables = BackoffTables(pair, 1000.0)
    tables.category = pair.items.source["category"].to_pylist()
    translation = fit(pair, settings=TranslateSettings(backoff=1000.0))
    for seed in range(10):
        events = sample(translation, SampleSettings(draws_per_event=1), seed=seed)
        wanted = [
            tables.confidence(pair.source.user[row], pair.source.item[row])[item]
            for row, item in zip(events.source_row, events.item, strict=True)
        ]
        np.testing.assert_allclose(events.confidence, wanted, rtol=1e-6)
