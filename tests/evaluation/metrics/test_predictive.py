"""Predictive metrics against scikit-learn, brute force and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score
from tests.learning import folds

from scalr.evaluation.metrics.predictive import (
    auc,
    calibration_ratio,
    judged_rows,
    log_loss,
    normalized_entropy,
    row_losses,
)
from scalr.foundation.errors import SchemaError
from scalr.logs.event_log import catalogue_of


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
    rows = judged_rows(fold, 3, seed=1)
    np.testing.assert_array_equal(rows.label, np.tile([1, 0, 0, 0], len(fold.user)))
    np.testing.assert_array_equal(rows.user, np.repeat(fold.user, 4))
    np.testing.assert_array_equal(rows.item[::4], fold.item)
    assert np.isin(rows.item, catalogue_of(fold.pair.target)).all()
    other = judged_rows(fold, 3, seed=2).item
    assert (other[rows.label == 0] != rows.item[rows.label == 0]).mean() > 0.9


def test_negatives_hang_on_the_pair_and_not_on_its_place():
    from dataclasses import replace

    fold = folds().test
    whole = judged_rows(fold, 3, seed=1).item.reshape(-1, 4)
    chosen = np.arange(len(fold.user))[::-3]
    part = judged_rows(replace(fold, user=fold.user[chosen], item=fold.item[chosen]), 3, seed=1)
    np.testing.assert_array_equal(part.item.reshape(-1, 4), whole[chosen])


def test_negatives_are_uniform():
    """Chi-square over the catalogue's items; false alarm about 1e-4."""
    from scipy.stats import chi2

    fold = folds().test
    catalogue = catalogue_of(fold.pair.target)
    rows = judged_rows(fold, 20, seed=1)
    count = np.bincount(np.searchsorted(catalogue, rows.item[rows.label == 0]), minlength=len(catalogue))
    expected = count.sum() / len(catalogue)
    assert ((count - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-4, len(catalogue) - 1)
