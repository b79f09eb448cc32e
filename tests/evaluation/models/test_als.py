"""Alternating least squares: the solution, and its link to probabilities."""

from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, grouped_pair, synthetic_for

from scalr.evaluation.metrics.predictive import calibration_ratio, labelled_rows
from scalr.evaluation.models import als
from scalr.evaluation.training import examples_of, train
from scalr.foundation.config import TrainSettings

pytest.importorskip("implicit", reason="least squares need the extra 'models'")
pytest.importorskip("sklearn", reason="the link needs the extra 'models'")
SETTINGS = TrainSettings(model="implicit_als", dimensions=4, shrinkage=None, synthetic_weight=0.5)


@pytest.fixture(scope="module")
def fold():
    return folds().validation


@pytest.fixture(scope="module")
def examples(fold):
    return examples_of(fold, synthetic_for(fold), SETTINGS)


def test_users_solve_their_ridge_regression(examples):
    """Held to the normal equations: confidence ALPHA · weight where there are rows, 1 elsewhere."""
    real, synthetic = (
        als.Mass.from_examples(examples, rows) for rows in (~examples.is_synthetic, examples.is_synthetic)
    )
    rows = als._rows(real, synthetic, np.ones(len(real.user), np.bool_))
    solver = als._Solver(rows, examples, SETTINGS, 0)
    for _ in range(15):
        users, _ = solver.step()
    items_before = solver._model.item_factors.astype(np.float64)
    users, _ = solver.step()  # users are solved first, from the items before
    dense = rows.matrix.toarray().astype(np.float64)
    for user in range(0, len(users), 17):
        confidence = np.where(dense[user] > 0, dense[user], 1.0)
        left = (items_before.T * confidence) @ items_before + als.L2 * np.eye(4)
        right = (items_before.T * confidence) @ (dense[user] > 0)
        np.testing.assert_allclose(users[user], np.linalg.solve(left, right), atol=0.02)


def test_held_back_pairs_are_unknown_to_the_factors_that_the_link_is_fitted_with(examples):
    real = als.Mass.from_examples(examples, ~examples.is_synthetic)
    none = als.Mass.from_examples(examples, np.zeros(len(examples), np.bool_))
    seen = np.arange(len(real.user)) % 5 > 0
    asked = als._link_rows(examples, real, ~seen, 4, 0)
    rows = als._rows(real, none, seen)
    positive = asked.label == 1
    assert positive.sum() > 100
    assert (np.asarray(rows.matrix[asked.user[positive], asked.item[positive]]) == 0).all()
    assert positive.mean() == pytest.approx(0.2)


def test_events_of_weight_zero_change_nothing(fold):
    none, weightless = (
        train(fold, events, SETTINGS.model_copy(update={"synthetic_weight": 0.0}), epochs=2).model
        for events in (None, synthetic_for(fold))
    )
    np.testing.assert_array_equal(none.score(fold.user, fold.item), weightless.score(fold.user, fold.item))


def test_groups_are_learnt_calibrated_and_a_world_without_any_teaches_nothing():
    """Seed fixed; cold users are judged with everybody else."""
    learnt_fold, null_fold = (folds(grouped_pair(focus=focus)).validation for focus in (0.9, 0.0))
    trained = train(learnt_fold, None, SETTINGS)
    assert min(trained.validation_losses) < 0.95
    rows = labelled_rows(learnt_fold, 4, 0)
    assert 0.7 < calibration_ratio(rows.label, trained.model.score(rows.user, rows.item)) < 1.4
    assert min(train(null_fold, None, SETTINGS).validation_losses) > 0.985


def test_every_pass_is_one_more_iteration(examples):
    one, two = islice(als.fit_als(examples, SETTINGS, 0), 2)
    assert not np.array_equal(one.user_factors, two.user_factors)
