"""From draws to rows against sets and dictionaries."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalr.synthesis.kernels.filtering import RowArrays, count_items, have_bits, keep_draws, localise, set_bits
from scalr.synthesis.kernels.path_layout import Draws


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3))
def test_rows_are_the_draws_that_are_new_and_supported(seed, draws, min_support):
    random = np.random.default_rng(seed)
    n_users, n_events, first = 4, 12, 3
    history = [np.sort(random.choice(40, random.integers(0, 30), replace=False)) for _ in range(n_users)]
    start = np.concatenate([[0], np.cumsum([len(one) for one in history])])
    user = random.integers(0, n_users, first + n_events).astype(np.int32)
    item = random.integers(-1, 40, n_events * draws).astype(np.int32)
    support = random.integers(1, 5, len(item)).astype(np.int32)
    confidence = random.random(len(item)).astype(np.float32)
    room, at = len(item) + 2, 2
    event, draw, row_item, row_support = (np.full(room, -7, np.int32) for _ in range(4))
    row_confidence, log_item = np.zeros(room, np.float32), np.concatenate(history).astype(np.int32)
    drawn = Draws(np.zeros(n_events, np.uint64), item, confidence, support)
    columns = RowArrays(event, draw, row_item, row_confidence, row_support)
    n_drawn, n_new, end = keep_draws(first, draws, user, drawn, start, log_item, min_support, at, columns)
    found = [z for z in range(len(item)) if item[z] >= 0]
    new = [z for z in found if item[z] not in history[user[first + z // draws]]]
    kept = [z for z in new if support[z] >= min_support]
    assert (n_drawn, n_new, end) == (len(found), len(new), at + len(kept))
    rows = slice(at, end)
    assert row_item[rows].tolist() == item[kept].tolist()
    assert row_support[rows].tolist() == support[kept].tolist()
    assert row_confidence[rows].tolist() == confidence[kept].tolist()
    assert event[rows].tolist() == [first + z // draws for z in kept]
    assert draw[rows].tolist() == [z % draws for z in kept]
    assert (row_item[:at] == -7).all()


@given(st.sets(st.integers(0, 99)))
def test_bits(places):
    bits = np.zeros(13, np.uint8)
    set_bits(bits, np.array(sorted(places), np.int64))
    assert set(np.flatnonzero(have_bits(bits, np.arange(100))).tolist()) == places


@given(st.lists(st.integers(0, 9), max_size=40))
def test_codes_are_numbered_by_first_occurrence_and_nothing_stays_behind(codes):
    place = np.full(10, -1, np.int32)
    given_codes = np.array(codes, np.int32)
    distinct, index = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32)
    n = localise(given_codes, place, distinct, index)
    assert distinct[:n].tolist() == list(dict.fromkeys(codes))
    assert distinct[index].tolist() == codes
    assert (place == -1).all()


def test_items_are_counted_and_candidates_have_support_and_score():
    item, support = np.array([0, 1, 0, 1], np.int32), np.array([9, 9, 1, 9], np.int32)
    confidence, found = np.array([0.5, 0.5, 0.9, 0.1], np.float32), np.empty(4, np.int64)
    counts = np.array([10, 0, 0])
    n = count_items(item, confidence, support, np.array([1.0, 4.0, 1.0]), 5, 0.5, counts, found)
    assert found[:n].tolist() == [0, 1]
    assert counts.tolist() == [12, 2, 0]
