"""Predictive metrics against scikit-learn, brute force and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score
from tests.learning import folds, grouped_pair

from scalr.evaluation.metrics.predictive import (
    auc,
    calibration_ratio,
    labelled_rows,
    log_loss,
    normalized_entropy,
    row_losses,
)
from scalr.foundation import rng
from scalr.foundation.errors import SchemaError
from scalr.foundation.kernels.hashing import combine_keys
from scalr.logs.event_log import EventLog, catalogue_of


def some(seed: int, n: int = 200, levels: int | None = None):
    random = np.random.default_rng(seed)
    labels = (random.random(n) < 0.3).astype(np.int8)
    labels[:2] = 0, 1
    probabilities = random.random(n)
    return labels, probabilities if levels is None else np.ceil(probabilities * levels) / (levels + 1)


@given(st.integers(0, 10**6))
def test_log_loss_and_normalized_entropy_agree_with_scikit_learn(seed):
    labels, probabilities = some(seed)
    expected = sklearn_log_loss(labels, probabilities)
    base = sklearn_log_loss(labels, np.full(len(labels), labels.mean()))
    assert log_loss(labels, probabilities) == pytest.approx(expected, rel=1e-12)
    assert normalized_entropy(labels, probabilities) == pytest.approx(expected / base, rel=1e-12)


def test_normalized_entropy_by_hand():
    labels, probabilities = np.array([1, 0, 0, 0], np.int8), np.array([0.5, 0.5, 0.25, 0.25])
    loss = -(np.log(0.5) + np.log(0.5) + np.log(0.75) + np.log(0.75)) / 4
    base = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert normalized_entropy(labels, probabilities) == pytest.approx(loss / base, rel=1e-14)


def test_always_predicting_the_base_rate_is_one_and_certainty_stays_finite():
    labels = np.array([1, 0, 0, 0, 0], np.int8)
    assert normalized_entropy(labels, np.full(5, 0.2)) == pytest.approx(1.0, rel=1e-14)
    assert log_loss(labels, 1.0 - labels.astype(float)) == pytest.approx(-np.log(1e-12), rel=1e-4)


@given(st.integers(0, 10**6), st.sampled_from([None, 1, 3, 20]))
def test_auc_agrees_with_scikit_learn_and_with_counting_pairs(seed, levels):
    labels, probabilities = some(seed, 60, levels)
    positive, negative = probabilities[labels == 1], probabilities[labels == 0]
    wins = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    assert auc(labels, probabilities) == pytest.approx(wins, rel=1e-12)
    assert auc(labels, probabilities) == pytest.approx(roc_auc_score(labels, probabilities), rel=1e-12)


def test_calibration_ratio_by_hand():
    assert calibration_ratio(np.array([1, 0, 1], np.int8), np.array([0.9, 0.6, 0.9])) == pytest.approx(2.4 / 2)


def test_one_class_nan_and_wrong_shapes_are_refused():
    zeros = np.zeros(3, np.int8)
    for metric in (normalized_entropy, auc, calibration_ratio):
        with pytest.raises(SchemaError, match="3 labels, all 0"):
            metric(zeros, np.full(3, 0.5))
        with pytest.raises(SchemaError, match="no labels"):
            metric(zeros[:0], np.empty(0))
    with pytest.raises(SchemaError, match=r"shape \(3,\)"):
        row_losses(zeros, np.full(2, 0.5))
    with pytest.raises(SchemaError, match="1 of 3 probabilities are not a number"):
        row_losses(zeros, np.array([0.1, np.nan, 0.1]))


def test_judged_rows_are_the_judged_pairs_with_negatives_of_the_catalogue():
    fold = folds().test
    rows = labelled_rows(fold, 3, seed=1)
    np.testing.assert_array_equal(rows.label, np.tile([1, 0, 0, 0], len(fold.user)))
    np.testing.assert_array_equal(rows.user, np.repeat(fold.user, 4))
    np.testing.assert_array_equal(rows.item[::4], fold.item)
    assert np.isin(rows.item, catalogue_of(fold.pair.target)).all()
    other = labelled_rows(fold, 3, seed=2).item
    assert (other[rows.label == 0] != rows.item[rows.label == 0]).mean() > 0.9


def known_to_be_liked(fold, user):
    seen = fold.seen.positives()
    return set(seen.item[seen.user == user].tolist()) | set(fold.item[fold.user == user].tolist())


def small_fold(seed, *, labels=False, items=12):
    """A fold of users who like much of a small catalogue."""
    pair = grouped_pair(seed, users=25, items=items, events=400, focus=0.3)
    if labels:
        label = (np.random.default_rng(seed).random(len(pair.target)) < 0.5).astype(np.int8)
        pair = replace(pair, target=replace(pair.target, label=label))
    return folds(pair, hide=0.5, seed=seed).test


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.booleans())
def test_no_negative_is_known_to_be_liked_and_each_is_the_chosen_one_of_the_others(seed, negatives, labels):
    fold = small_fold(seed, labels=labels)
    rows, catalogue = labelled_rows(fold, negatives, seed), catalogue_of(fold.pair.target)
    for place, user in enumerate(fold.user):
        drawn = rows.item.reshape(-1, negatives + 1)[place, 1:]
        known = known_to_be_liked(fold, user)
        others = [item for item in catalogue.tolist() if item not in known] or catalogue.tolist()
        assert not set(drawn.tolist()) & known or known >= set(catalogue.tolist())
        keys = (fold.pair.target.users.keys[[user]], fold.pair.target.items.keys[fold.item[[place]]])
        for slot, item in enumerate(drawn):
            key = combine_keys(*keys)
            chance = rng.keyed_units(seed, rng.Purpose.TEST_NEGATIVES, key, np.array([slot], np.uint64))[0]
            assert item == others[int(chance * len(others))]


def test_hidden_events_before_the_period_and_other_judged_pairs_are_known():
    fold = folds(grouped_pair(events=6000), hide=0.9).test
    rows = labelled_rows(fold, 20, seed=1)
    n_items = len(fold.pair.target.items)
    cells = rows.user[rows.label == 0].astype(np.int64) * n_items + rows.item[rows.label == 0]
    hidden = fold.seen.take(fold.is_cold(fold.seen.user))
    for user, item in ((fold.user, fold.item), (fold.seen.user, fold.seen.item), (hidden.user, hidden.item)):
        known = user.astype(np.int64) * n_items + item
        assert np.isin(known // n_items, fold.user).any()
        assert not np.isin(cells, known).any()


def test_labels_of_zero_do_not_make_an_item_known():
    fold = small_fold(3, labels=True)
    rows = labelled_rows(fold, 50, seed=1)
    negative = fold.seen.take(fold.seen.label == 0)
    drawn = set(zip(rows.user[rows.label == 0].tolist(), rows.item[rows.label == 0].tolist(), strict=True))
    assert drawn & set(zip(negative.user.tolist(), negative.item.tolist(), strict=True))


def test_a_user_who_likes_the_whole_catalogue_has_negatives_of_the_whole_catalogue():
    fold = folds().test
    catalogue, user = catalogue_of(fold.pair.target), fold.user[0]
    everything = np.concatenate([fold.seen.item, catalogue])
    of_user = np.concatenate([fold.seen.user, np.full(len(catalogue), user, np.int32)])
    seen = EventLog("target", fold.seen.users, fold.seen.items, of_user, everything)
    rows, before = labelled_rows(replace(fold, seen=seen), 999, seed=1), labelled_rows(fold, 999, seed=1)
    drawn = rows.item[(rows.user == user) & (rows.label == 0)]
    assert set(drawn.tolist()) == set(catalogue.tolist())
    np.testing.assert_array_equal(rows.item[rows.user != user], before.item[before.user != user])


def test_negatives_do_not_depend_on_the_order_of_rows_or_on_other_users():
    fold = folds().test
    width, shuffled = 4, np.random.default_rng(0).permutation(len(fold.seen))
    whole = labelled_rows(fold, 3, seed=1).item.reshape(-1, width)
    chosen = np.flatnonzero(fold.user % 3 == 0)[::-1]
    part = replace(fold, user=fold.user[chosen], item=fold.item[chosen], seen=fold.seen.take(shuffled))
    np.testing.assert_array_equal(labelled_rows(part, 3, seed=1).item.reshape(-1, width), whole[chosen])


def test_negatives_are_uniform_over_the_other_items():
    """Chi-square over the catalogue's items; false alarm about 1e-4."""
    from scipy.stats import chi2

    fold = folds(grouped_pair(events=6000)).test
    catalogue = catalogue_of(fold.pair.target)
    rows = labelled_rows(fold, 20, seed=1)
    count = np.bincount(np.searchsorted(catalogue, rows.item[rows.label == 0]), minlength=len(catalogue))
    expected = np.zeros(len(catalogue))
    for user, pairs in zip(*np.unique(fold.user, return_counts=True), strict=True):
        is_other = ~np.isin(catalogue, list(known_to_be_liked(fold, user)))
        expected[is_other] += 20 * pairs / is_other.sum()
    assert ((count - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, len(catalogue) - 1)
