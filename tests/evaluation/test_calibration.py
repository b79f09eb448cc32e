"""Calibration: the analytic shift against its closed form, isotonic against a slow rewrite, real rows only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.evaluation.calibration import fit_isotonic, fit_log_odds_shift, log_odds_shift
from scalr.foundation.errors import LeakError, SchemaError

pytest.importorskip("sklearn", reason="isotonic regression is scikit-learn's")
RATES = st.floats(0.001, 0.999)


@given(st.lists(RATES, min_size=1, max_size=6), st.integers(0, 2**32), st.floats(0.01, 100.0))
def test_the_shift_is_exact_where_only_the_share_of_positives_changed(
    chances: list[float], seed: int, kept: float
) -> None:
    """Rows of kind x convert with chance p(x); negatives count `kept` times, whatever x: Bayes gives both truths."""
    p, share = np.array(chances), np.random.default_rng(seed).dirichlet(np.ones(len(chances)))
    positive, negative = share * p, share * (1 - p)
    trained = positive / (positive + kept * negative)  # what a perfect model of the changed rows predicts
    trained_rate = positive.sum() / (positive.sum() + kept * negative.sum())
    shift = log_odds_shift(float(trained_rate), float(positive.sum()))
    np.testing.assert_allclose(shift.apply(trained), p, rtol=1e-9)
    assert shift.shift == pytest.approx(np.log(kept), abs=1e-9)


@given(RATES, st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20))
def test_no_change_of_rate_changes_nothing_and_order_stays(rate: float, stated: list[float]) -> None:
    probabilities = np.sort(np.array(stated))
    np.testing.assert_allclose(log_odds_shift(rate, rate).apply(probabilities), probabilities, atol=1e-11)
    moved = log_odds_shift(rate, 0.5).apply(probabilities)
    assert (np.diff(moved) >= 0).all()
    assert ((moved >= 0) & (moved <= 1)).all()


def test_the_fitted_shift_goes_to_the_rate_of_the_real_rows() -> None:
    labels = np.array([1, 0, 0, 0], np.int8)
    shift = fit_log_odds_shift(labels, trained_rate=0.5, is_synthetic=np.zeros(4, bool))
    assert shift.apply(np.array([0.5]))[0] == pytest.approx(0.25)


def pooled(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the isotonic fit of rows, by the minimax formula: max over starts of min over ends of the mean between."""
    order = np.argsort(probabilities, kind="stable")
    y, n = labels[order].astype(float), len(labels)
    fit = [max(min(y[a : b + 1].mean() for b in range(i, n)) for a in range(i + 1)) for i in range(n)]
    found = np.empty(n)
    found[order] = fit
    return found


@given(st.integers(0, 2**32), st.integers(3, 25))
def test_isotonic_agrees_with_the_minimax_formula(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, labels = random.random(n), random.integers(0, 2, n).astype(np.int8)
    labels[:2] = 0, 1
    steps = fit_isotonic(labels, probabilities, is_synthetic=np.zeros(n, bool))
    wanted = np.clip(pooled(labels, probabilities), 0.5 / n, 1 - 0.5 / n)
    np.testing.assert_allclose(steps.apply(probabilities), wanted, atol=1e-9)
    assert np.isfinite(np.log(steps.apply(np.array([-1.0, 2.0])))).all()


def test_isotonic_makes_wrong_probabilities_true() -> None:
    """Rows convert with chance p² where p is stated: a calibration ratio of 1 within 5 standard errors, before 1.5."""
    random = np.random.default_rng(0)
    stated = random.random(40_000)
    labels = (random.random(40_000) < stated**2).astype(np.int8)
    half = slice(0, 20_000), slice(20_000, 40_000)
    steps = fit_isotonic(labels[half[0]], stated[half[0]], is_synthetic=np.zeros(20_000, bool))
    after = steps.apply(stated[half[1]])
    error = 5 * np.sqrt((stated[half[1]] ** 2 * (1 - stated[half[1]] ** 2)).sum()) / labels[half[1]].sum()
    assert stated[half[1]].sum() / labels[half[1]].sum() > 1.4
    assert abs(after.sum() / labels[half[1]].sum() - 1) < 2 * error  # fitted on rows as many as judged


def test_synthetic_rows_are_refused() -> None:
    labels, marks = np.array([1, 0, 0], np.int8), np.array([False, True, False])
    with pytest.raises(LeakError, match="1 of 3 rows for calibration are synthetic"):
        fit_log_odds_shift(labels, trained_rate=0.1, is_synthetic=marks)
    with pytest.raises(LeakError, match="1 of 3 rows for calibration are synthetic"):
        fit_isotonic(labels, labels * 0.5, is_synthetic=marks)
    with pytest.raises(SchemaError, match="2 marks for 3 rows"):
        fit_isotonic(labels, labels * 0.5, is_synthetic=marks[:2])


@pytest.mark.parametrize("labels", [[], [0, 0], [1]])
def test_labels_of_one_kind_are_refused(labels: list[int]) -> None:
    found, marks = np.array(labels, np.int8), np.zeros(len(labels), bool)
    with pytest.raises(SchemaError, match="one label only"):
        fit_isotonic(found, found * 0.5, is_synthetic=marks)
    with pytest.raises(SchemaError, match="one label only"):
        fit_log_odds_shift(found, trained_rate=0.5, is_synthetic=marks)


@pytest.mark.parametrize("rates", [(0.0, 0.5), (0.5, 1.0), (float("nan"), 0.5)])
def test_rates_without_log_odds_are_refused(rates: tuple[float, float]) -> None:
    with pytest.raises(SchemaError, match="base rate"):
        log_odds_shift(*rates)
