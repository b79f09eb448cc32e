"""Popularity alone: counts, and a probability that is true where items are all there is to know."""

import numpy as np
import pytest
from tests.learning import folds

from scalr.evaluation.judging import evaluate
from scalr.evaluation.models.popularity import count_popularity
from scalr.logs.event_log import catalogue_of


@pytest.fixture(scope="module")
def fold():
    return folds().test


def counted(fold, negatives=4):
    return count_popularity(fold.pair.target, catalogue_of(fold.pair.target), negatives)


def test_everybody_gets_the_items_with_most_distinct_users_first(fold):
    target, model = fold.pair.target, counted(fold)
    users = {item: len(set(target.user[target.item == item].tolist())) for item in range(len(target.items))}
    block = model.rank_scores(np.array([3, 0], np.int32))
    np.testing.assert_array_equal(block[0], block[1])
    np.testing.assert_allclose(block[0], [users[item] + 0.5 for item in range(len(target.items))])


def test_probabilities_are_those_of_bayes_rule(fold):
    """Draw positives by the counts and negatives evenly: one positive in five, and the share of positives per item."""
    model, catalogue = counted(fold), catalogue_of(fold.pair.target)
    p_positive = model.users[catalogue] / model.users[catalogue].sum()
    p_negative = np.full(len(catalogue), 1 / len(catalogue))
    truth = 0.2 * p_positive / (0.2 * p_positive + 0.8 * p_negative)
    np.testing.assert_allclose(model.score(np.zeros(len(catalogue), np.int32), catalogue), truth, rtol=1e-12)


def test_it_is_judged_like_any_model(fold):
    found = evaluate(counted(fold), fold).segments["all"]
    assert 0 < found["normalized_entropy"] < 1.1
    assert found["ndcg@20"] > 0
