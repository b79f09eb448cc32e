"""What every translator promises."""

import numpy as np
import pyarrow as pa
import pytest
from tests.worlds import small_pair, small_tables

from scalr.foundation.config import SampleSettings
from scalr.foundation.errors import ConfigError
from scalr.logs.reading import read_pair
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit, translator_names

STRATEGIES = {
    "sample": SampleSettings(draws_per_event=3),
    "temperature": SampleSettings(draws_per_event=3, temperature=0.7, min_support=2),
    "topk": SampleSettings(draws_per_event=3, strategy="topk"),
}

LOOKS_AT_NOBODY = {"random"}
"""Draws any item alike, a user's own too: exempt from leaving the user out."""


@pytest.fixture(params=translator_names())
def translator(request):
    return request.param


def equal(one: SyntheticEvents, other: SyntheticEvents) -> bool:
    names = ("user", "item", "source_row", "draw", "confidence", "support", "weight")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_threads_and_chunks_change_nothing(translator, strategy):
    translation = fit(small_pair(), translator)
    settings = STRATEGIES[strategy]
    whole = sample(translation, settings, seed=5, threads=1)
    for threads, chunk_rows in ((1, 1), (2, 7), (2, 100), (3, 10**9)):
        assert equal(whole, sample(translation, settings, seed=5, threads=threads, chunk_rows=chunk_rows))


def test_the_seed_changes_the_draws(translator):
    translation = fit(small_pair(), translator)
    assert not equal(sample(translation, seed=1), sample(translation, seed=2))


def test_confidence_is_a_probability_and_support_counts_users(translator):
    events = sample(fit(small_pair(), translator), STRATEGIES["sample"])
    assert ((events.confidence > 0) & (events.confidence <= 1)).all()
    assert ((events.support >= 1) & (events.support < len(events.pair.target.users))).all()


def test_events_stand_in_canonical_order(translator):
    events = sample(fit(small_pair(), translator), STRATEGIES["sample"])
    source = events.pair.source
    order = np.lexsort((events.draw, events.source_row, source.user[events.source_row], source.item[events.source_row]))
    np.testing.assert_array_equal(order, np.arange(len(events)))


def test_receipts_and_horizon_come_along(translator):
    pair = small_pair()
    events = sample(fit(pair, translator), STRATEGIES["sample"])
    assert [receipt.stage for receipt in events.receipts] == ["fit", "sample"]
    assert events.receipts[1].rows_in == len(pair.source)
    assert events.receipts[1].rows_out == len(events)
    assert events.fitted_until == max(pair.source.time.max(), pair.target.time.max())


def test_progress_counts_every_source_event(translator):
    done = []
    pair = small_pair()
    sample(fit(pair, translator), STRATEGIES["sample"], chunk_rows=50, progress=done.append)
    assert sum(done) == len(pair.source)
    assert len(done) > 1


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'cooccurrence'"):
        fit(small_pair(), "cooccurence")


@pytest.mark.parametrize("translator", [name for name in translator_names() if name not in LOOKS_AT_NOBODY])
def test_an_item_that_only_the_user_has_is_never_drawn_for_it(translator):
    """Leave-one-out: here every second user has one target item that nobody else has."""
    source, target = small_tables(events=(400, 150))
    own = pa.table(
        {
            "user": np.arange(0, 60, 2),
            "item": np.arange(0, 60, 2) + 1000,
            "time": np.full(30, 1_600_000_000 + 86_400),
        }
    )
    pair = read_pair(source, pa.concat_tables([target, own]))
    holders = np.bincount(pair.target.item[pair.target.starts_interaction()], minlength=len(pair.target.items))
    for settings in STRATEGIES.values():
        events = sample(fit(pair, translator), settings.model_copy(update={"draws_per_event": 30}))
        has = np.zeros((len(pair.target.users), len(pair.target.items)), np.bool_)
        has[pair.target.user, pair.target.item] = True
        assert len(events)
        assert not (has[events.user, events.item] & (holders[events.item] == 1)).any()
