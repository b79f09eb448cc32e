"""Conventional methods against closed forms and slow, obvious rewrites."""

from itertools import islice

import numpy as np
import pytest
from tests.learning import folds

from scalr.evaluation.cross_domain import get_rival
from scalr.evaluation.cross_domain.domains import both_domains
from scalr.evaluation.cross_domain.emcdr import mapped
from scalr.evaluation.cross_domain.item_knn import logistic, neighbourhoods
from scalr.evaluation.kernels.factorization import Parameters, run_soft_epoch
from scalr.evaluation.models.mf import fit_factorization
from scalr.evaluation.training import train
from scalr.foundation.config import TrainSettings
from scalr.foundation.kernels.machine import LANES
from scalr.logs.simulation import simulate

SETTINGS = TrainSettings(dimensions=5)


@pytest.fixture(scope="module")
def fold():
    return folds().test


def passes(name, fold, n=4, **strength):
    rival = get_rival(name)
    return list(islice(rival.epochs(fold, SETTINGS, 3, {**rival.strengths[0], **strength}), n))[-1]


def same_parameters(one, two):
    for field in ("user_factors", "item_factors", "item_bias", "intercept"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))


@pytest.mark.parametrize("name", ["collective", "pooled", "distillation"])
def test_without_weight_only_real_events_are_left_bit_for_bit(name, fold):
    same_parameters(passes(name, fold, weight=0.0), train(fold, None, SETTINGS, 3, epochs=4).model)


def test_in_emcdr_users_with_target_events_keep_what_these_taught(fold):
    model, alone = passes("emcdr", fold), train(fold, None, SETTINGS, 3, epochs=4).model
    cold = fold.is_cold(np.arange(len(fold.pair.target.users)))
    in_source = np.bincount(fold.pair.source.user, minlength=len(cold)) > 0
    np.testing.assert_array_equal(model.user_factors[~cold], alone.user_factors[~cold])
    assert (model.user_factors[cold & in_source] != alone.user_factors[cold & in_source]).any(axis=1).all()
    np.testing.assert_array_equal(model.item_factors, alone.item_factors)


def test_the_map_of_emcdr_recovers_a_planted_one():
    random = np.random.default_rng(0)
    law, offset = random.normal(size=(4, 4)), random.normal(size=4)
    known, new = (random.normal(size=(n, 4)).astype(np.float32) for n in (50, 7))
    wanted = (known @ law + offset).astype(np.float32)
    np.testing.assert_allclose(mapped(known, wanted, new, 0.0), new @ law + offset, atol=1e-5)


def test_a_large_ridge_maps_everybody_to_the_average():
    random = np.random.default_rng(1)
    known, wanted, new = (random.normal(size=(n, 3)).astype(np.float32) for n in (20, 20, 5))
    np.testing.assert_allclose(mapped(known, wanted, new, 1e9), np.tile(wanted.mean(axis=0), (5, 1)), atol=1e-6)


def test_rows_of_both_domains_have_items_and_negatives_of_their_own(fold):
    rows = both_domains(fold, SETTINGS, 0, 0.25)
    n_target, source = len(fold.pair.target.items), fold.pair.source
    assert (rows.item[~rows.is_synthetic] < n_target).all()
    assert (rows.item[rows.is_synthetic] >= n_target).all()
    np.testing.assert_array_equal(rows.synthetic_catalogue, np.unique(source.item) + n_target)
    assert rows.weight[rows.is_synthetic].tolist() == [0.25] * len(np.unique(source.user * 10_000 + source.item))


@pytest.mark.parametrize("objective", ["auxiliary", "joint"])
def test_source_rows_move_no_target_item_and_the_intercept_only_where_there_is_one_head(fold, objective):
    """Trained on source rows alone, target items stay where they began, so no negative crosses over."""
    rows = both_domains(fold, SETTINGS, 0, 1.0)
    only_source = rows.is_synthetic
    cut = {name: getattr(rows, name)[only_source] for name in ("user", "item", "weight", "is_synthetic")}
    lone = type(rows)(
        **cut, n_first=0, catalogue=rows.catalogue, user_keys=rows.user_keys, item_keys=rows.item_keys,
        fitted_until=None, fitted_on=0, synthetic_catalogue=rows.synthetic_catalogue,
    )  # fmt: skip
    one, two = islice(fit_factorization(lone, SETTINGS.model_copy(update={"objective": objective}), 0), 2)
    n_target = len(fold.pair.target.items)
    assert (one.item_bias[:n_target] == 0).all()
    np.testing.assert_array_equal(one.item_factors[:n_target], two.item_factors[:n_target])
    assert (one.item_factors[rows.synthetic_catalogue] != two.item_factors[rows.synthetic_catalogue]).any(axis=1).all()
    assert (one.intercept != np.float32(-np.log(SETTINGS.negatives))) == (objective == "joint")


def loss(parameters, user, items, label, weight, l2):
    """Cross-entropy of one row with soft labels, and its penalty, in float64."""
    user_factors, item_factors, item_bias, item_prior, intercept = (x.astype(np.float64) for x in parameters)
    total = 0.0
    for i, y in zip(items, label, strict=True):
        logit = intercept[0] + item_prior[0, i] + item_bias[0, i] + user_factors[user] @ item_factors[i]
        total += np.log1p(np.exp(logit)) - y * logit
        total += l2 / 2 * (item_bias[0, i] ** 2 + (item_factors[i] ** 2).sum() + (user_factors[user] ** 2).sum())
    return weight * total


def test_a_step_on_soft_labels_follows_the_gradient():
    random = np.random.default_rng(2)
    shapes = ((4, LANES), (6, LANES), (2, 6), (2, 6), (2,))
    before = [random.normal(0, 0.5, shape).astype(np.float32) for shape in shapes]
    after = Parameters(*(one.copy() for one in before))
    items, label, rate = np.array([[1, 4, 5]], np.int32), np.array([[0.9, 0.3, 0.05]], np.float32), 1e-3
    run_soft_epoch(after, np.array([2], np.int32), items, label, 0.7, rate, 0.2)
    for part, place in ((0, (2, 3)), (1, (4, 6)), (2, (0, 5))):
        ends = []
        for shift in (1e-3, -1e-3):
            moved = [one.astype(np.float64) for one in before]
            moved[part][place] += shift
            ends.append(loss(moved, 2, items[0], label[0], 0.7, 0.2))
        slope = (ends[0] - ends[1]) / 2e-3
        assert (before[part][place] - after[part][place]) / rate == pytest.approx(slope, rel=0.01, abs=1e-3)
    np.testing.assert_array_equal(before[2][1], after[2][1])
    assert before[4][1] == after[4][1]


def test_soft_labels_that_are_what_is_predicted_change_nothing_without_penalty():
    random = np.random.default_rng(3)
    parameters = [
        random.normal(0, 0.5, shape).astype(np.float32) for shape in ((4, LANES), (6, LANES), (2, 6), (2, 6), (2,))
    ]
    user_factors, item_factors, item_bias, item_prior, intercept = parameters
    items = np.array([[0, 3]], np.int32)
    logit = intercept[0] + item_prior[0, items[0]] + item_bias[0, items[0]] + item_factors[items[0]] @ user_factors[1]
    after = Parameters(*(one.copy() for one in parameters))
    run_soft_epoch(
        after, np.array([1], np.int32), items, (1 / (1 + np.exp(-logit)))[None].astype(np.float32), 1.0, 0.5, 0
    )
    for one, two in zip(parameters, after, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.fixture(scope="module")
def small():
    return simulate(n_users=40, n_source_items=25, n_target_items=20, events_per_user=(6, 5), n_groups=4, seed=1).pair


def matrix(log):
    found = np.zeros((len(log.users), len(log.items)))
    found[log.user, log.item] = 1
    return found


@pytest.mark.parametrize("most", [1000, 6])
@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_nearness_is_what_dense_matrices_give(small, most, shrinkage):
    target = matrix(small.target)
    strength = {"shrinkage": shrinkage, "neighbours": most, "popularity": 0.5}
    for near, other in zip(neighbourhoods(small, strength), (matrix(small.source), target), strict=True):
        common = target.T @ other
        size = np.sqrt(np.outer(target.sum(axis=0), other.sum(axis=0)))
        cosine = np.divide(common, size, out=np.zeros_like(common), where=size > 0)
        similarity = cosine * np.divide(common, common + shrinkage, out=np.zeros_like(common), where=common > 0)
        if other is target:
            np.fill_diagonal(similarity, 0)
        for row in similarity:  # stable order: among equally near items those with lower codes
            row[np.argsort(-row.round(12), kind="stable")[most:]] = 0
        expected = np.log1p(30 * other @ similarity.T)
        users = np.arange(len(target), dtype=np.int32)
        np.testing.assert_allclose(near.of_users(users), expected, rtol=1e-9, atol=1e-12)
        user, item = (x.astype(np.int32).ravel() for x in np.indices(expected.shape))
        np.testing.assert_array_equal(near.of_pairs(user, item), near.of_users(users)[user, item])


def test_a_long_history_is_cut(small, monkeypatch):
    monkeypatch.setattr("scalr.evaluation.cross_domain.item_knn.HISTORY_CAP", 2)
    near = neighbourhoods(small, {"shrinkage": 1.0, "neighbours": 9, "popularity": 0.0})
    assert all(np.diff(one.histories.start).max() == 2 for one in near)


def test_the_logistic_regression_finds_where_the_slope_is_zero():
    random = np.random.default_rng(4)
    features = np.stack([np.ones(500), random.normal(size=500), random.exponential(size=500)], axis=1)
    offset, weight = random.normal(size=500), random.uniform(0.1, 3, 500)
    label = (random.random(500) < 1 / (1 + np.exp(-(features @ [-1.0, 0.7, 0.3] + offset)))).astype(float)
    found = logistic(features, label, weight, offset)
    chance = 1 / (1 + np.exp(-(features @ found + offset)))
    np.testing.assert_allclose(features.T @ (weight * (label - chance)) / weight.sum(), 0, atol=1e-5)
    np.testing.assert_allclose(found, [-1.0, 0.7, 0.3], atol=0.5)
