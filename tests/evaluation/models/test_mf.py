from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, synthetic_for

from scalr.evaluation.models.mf import LARGEST_STEP, fit_factorization, in_steps
from scalr.evaluation.training import examples_of
from scalr.foundation.config import TrainSettings
from scalr.foundation.errors import ConfigError

SETTINGS = TrainSettings(dimensions=5)


@pytest.fixture(scope="module")
def examples():
    fold = folds().test
    return examples_of(fold, synthetic_for(fold), SETTINGS)


def reweighted(examples, weight):
    return replace(examples, weight=np.asarray(weight, np.float32))


def test_ordinary_weights_are_one_step(examples):
    assert in_steps(examples) is examples


def test_large_weights_become_steps_of_equal_weight_and_the_same_sum(examples):
    weight = np.where(np.arange(len(examples)) % 7 == 0, 10.0, 0.5)
    steps = in_steps(reweighted(examples, weight))
    assert steps.weight.max() <= LARGEST_STEP
    assert steps.weight.sum() == pytest.approx(weight.sum(), rel=1e-5)
    assert len(steps) == len(examples) + 2 * (weight > LARGEST_STEP).sum()
    assert steps.n_first == (np.ceil(weight[: examples.n_first] / LARGEST_STEP)).sum()
    assert steps.is_synthetic.sum() == np.ceil(weight[examples.is_synthetic] / LARGEST_STEP).sum()


def test_a_few_huge_weights_do_not_make_the_model_diverge(examples):
    weight = np.where(np.arange(len(examples)) % 50 == 0, 300.0, 0.5)
    model = list(islice(fit_factorization(reweighted(examples, weight), SETTINGS, 0), 5))[-1]
    logits = model.rank_scores(np.unique(examples.user))
    assert np.isfinite(logits).all()
    assert np.abs(logits).max() < 30


def test_weights_in_another_unit_are_refused(examples):
    with pytest.raises(ConfigError, match="event weights are as large as 1e\\+06"):
        in_steps(reweighted(examples, np.full(len(examples), 1e6)))
