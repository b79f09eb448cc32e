"""Boosted trees: rows to learn from, passes, and worlds with a known answer."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, grouped_pair, synthetic_for

from scalr.evaluation.models.pair_features import PairFeatures
from scalr.evaluation.models.trees import fit_trees, labelled
from scalr.evaluation.training import examples_of, train
from scalr.foundation.config import TrainSettings

pytest.importorskip("lightgbm", reason="boosted trees need the extra 'models'")
SETTINGS = TrainSettings(model="lightgbm", dimensions=4, shrinkage=None, synthetic_weight=0.5)


@pytest.fixture(scope="module")
def fold():
    return folds().validation


def test_events_of_weight_zero_change_nothing(fold):
    none, weightless = (
        train(fold, events, SETTINGS.model_copy(update={"synthetic_weight": 0.0}), epochs=3).model
        for events in (None, synthetic_for(fold))
    )
    user, item = fold.user, fold.item
    np.testing.assert_array_equal(none.score(user, item), weightless.score(user, item))


def test_negatives_of_real_rows_do_not_hang_on_synthetic_ones(fold):
    tables = []
    for events in (None, synthetic_for(fold)):
        examples = examples_of(fold, events, SETTINGS)
        features = PairFeatures.from_examples(examples, 4, 0)
        tables.append((labelled(examples, features, SETTINGS, 0).columns, features.names.index("real popularity")))
    (alone, place), (mixed, _) = tables
    np.testing.assert_array_equal(alone[:, place], mixed[: len(alone), place])


def test_weights_of_synthetic_rows_are_theirs_and_their_kind_is_a_column(fold):
    examples = examples_of(fold, synthetic_for(fold), SETTINGS)
    features = PairFeatures.from_examples(examples, 4, 0)
    table = labelled(examples, features, SETTINGS, 0)
    kind = table.columns[:, -1] == 1
    total = float(examples.weight[examples.is_synthetic].sum())
    assert table.weight[kind & (table.label == 1)].sum() == pytest.approx(total, rel=1e-5)
    assert table.weight[kind].sum() == pytest.approx(total * (1 + SETTINGS.negatives), rel=1e-5)
    joint = labelled(examples, features, SETTINGS.model_copy(update={"objective": "joint"}), 0)
    assert joint.columns.shape[1] == table.columns.shape[1] - 1


def test_scores_remembered_from_an_earlier_pass_are_those_computed_anew(fold):
    examples = examples_of(fold, synthetic_for(fold), SETTINGS)
    stepwise = []
    for model in islice(fit_trees(examples, SETTINGS, 0), 4):
        stepwise.append((model, model.score(fold.user, fold.item)))
    last = list(islice(fit_trees(examples, SETTINGS, 0), 4))[-1]
    np.testing.assert_array_equal(stepwise[-1][1], last.score(fold.user, fold.item))
    for model, scores in stepwise:
        np.testing.assert_array_equal(model.score(fold.user, fold.item), scores)


def test_groups_are_learnt_and_a_world_without_any_teaches_nothing():
    """Seed fixed. With groups affinity tells; without, nothing beats the base rate by more than chance lets it."""
    learnt, null = (
        min(train(folds(grouped_pair(focus=focus)).validation, None, SETTINGS).validation_losses)
        for focus in (0.9, 0.0)
    )
    assert learnt < 0.95
    assert null > 0.985


def test_a_prior_of_popularity_is_what_log_odds_begin_with(fold):
    examples = examples_of(fold, None, SETTINGS)
    features = PairFeatures.from_examples(examples, 4, 0)
    prior = SETTINGS.model_copy(update={"popularity_prior": 0.5})
    table = labelled(examples, features, prior, 0, base=-1.0)
    held = np.exp(table.columns[:, features.names.index("real popularity")].astype(np.float64)) - 1
    np.testing.assert_allclose(table.offset, -1.0 + 0.5 * np.log(held + 0.5), atol=1e-5)


def test_repeated_extra_rows_are_one_pair(fold):
    examples = examples_of(fold, None, SETTINGS)
    twice = replace(
        examples,
        **{
            name: np.concatenate([getattr(examples, name)] * 2)
            for name in ("user", "item", "weight", "is_synthetic", "time")
        },
    )
    one, two = (labelled(some, PairFeatures.from_examples(some, 4, 0), SETTINGS, 0) for some in (examples, twice))
    np.testing.assert_array_equal(one.label, two.label)
    np.testing.assert_allclose(2 * one.weight, two.weight)
