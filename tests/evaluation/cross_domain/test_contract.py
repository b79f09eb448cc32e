"""What every conventional method promises."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, grouped_pair

from scalr.evaluation.cross_domain import get_rival, rival_names, train_rival
from scalr.evaluation.folds import split
from scalr.evaluation.judging import evaluate
from scalr.evaluation.training import train
from scalr.foundation.config import RIVALS, SplitSettings, TrainSettings
from scalr.foundation.errors import ConfigError, LeakError
from scalr.logs.simulation import simulate

SETTINGS = TrainSettings(dimensions=5, max_epochs=12)


@pytest.fixture(params=rival_names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fold():
    return folds().test


def after(name, fold, passes=2, seed=0):
    rival = get_rival(name)
    return list(islice(rival.epochs(fold, SETTINGS, seed, rival.strengths[0]), passes))[-1]


def everything(fold):
    n_users, n_items = len(fold.pair.target.users), len(fold.pair.target.items)
    return np.repeat(np.arange(n_users, dtype=np.int32), n_items), np.tile(np.arange(n_items, dtype=np.int32), n_users)


def test_the_settings_know_every_method():
    assert set(rival_names()) == set(RIVALS)


def test_there_are_strengths_to_try_and_no_two_alike(name):
    strengths = get_rival(name).strengths
    assert len(strengths) >= 4
    assert len({tuple(one.items()) for one in strengths}) == len(strengths)
    assert {tuple(one) for one in strengths} == {tuple(strengths[0])}


def test_scores_are_probabilities_for_every_user_and_item(name, fold):
    user, item = everything(fold)
    probabilities = after(name, fold).score(user, item)
    assert fold.is_cold(user).any()
    assert probabilities.shape == user.shape
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_rank_scores_order_items_as_scores_do(name, fold):
    model = after(name, fold)
    users = np.array([5, 2, 5], np.int32)
    block = model.rank_scores(users)
    assert block.shape == (3, len(fold.pair.target.items))
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block[0], block[2])
    for row, user in zip(block, users, strict=True):
        items = np.argsort(row, kind="stable").astype(np.int32)
        assert (np.diff(model.score(np.full(len(items), user, np.int32), items)) >= 0).all()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(name, fold):
    user, item = everything(fold)
    one, same, other = (after(name, fold, seed=seed).score(user, item) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_model_that_was_handed_out_does_not_change(name, fold):
    user, item = everything(fold)
    passes = get_rival(name).epochs(fold, SETTINGS, 0, get_rival(name).strengths[0])
    first = next(passes)
    before = first.score(user, item)
    list(islice(passes, 2))
    np.testing.assert_array_equal(first.score(user, item), before)


def test_judged_pairs_and_hidden_events_change_nothing(name, fold):
    """A fold that judges one pair, and shows nothing that is hidden, gives the same model once passes are chosen."""
    chosen = train_rival(name, folds().validation, SETTINGS)
    other = replace(fold, user=fold.user[:1], item=fold.item[:1], seen=fold.seen.take(np.zeros(len(fold.seen), bool)))
    one, two = (train_rival(name, each, SETTINGS, epochs=chosen.epochs) for each in (fold, other))
    user, item = everything(fold)
    np.testing.assert_array_equal(one.model.score(user, item), two.model.score(user, item))
    assert (one.epochs, one.strength) == (chosen.epochs, chosen.strength)


@pytest.mark.parametrize("log", ["target", "source"])
def test_a_log_that_reaches_into_the_judged_period_is_refused(name, fold, log):
    leaky = replace(fold, pair=replace(fold.pair, **{log: getattr(grouped_pair(), log)}))
    with pytest.raises(LeakError):
        train_rival(name, leaky, SETTINGS)


def test_a_model_passes_the_guards_of_evaluation_for_its_own_fold_only(name, fold):
    model = after(name, fold)
    assert evaluate(model, fold).segments["cold"]["normalized_entropy"] is not None
    with pytest.raises(LeakError):
        evaluate(model, folds().validation)


def test_the_first_strength_stands_where_none_is_given(name):
    first, second = get_rival(name).strengths[:2]
    found = [train_rival(name, folds().validation, SETTINGS, strength=one) for one in (None, first, second)]
    assert [one.strength for one in found] == [first, first, second]
    assert found[0].validation_losses == found[1].validation_losses != found[2].validation_losses


def judged(pair, name=None, seeds=2):
    """Return mean normalized entropy and NDCG of cold users, of real events alone where there is no name."""
    found = []
    for seed in range(seeds):
        parts = split(pair, SplitSettings(hide_overlap=0.5), seed)
        if name is None:
            epochs = train(parts.validation, None, SETTINGS, seed).epochs
            model = train(parts.test, None, SETTINGS, seed, epochs=epochs).model
        else:
            tried = [
                train_rival(name, parts.validation, SETTINGS, seed, strength=one)
                for one in get_rival(name).strengths[:3]
            ]
            best = min(tried, key=lambda one: min(one.validation_losses))
            model = train_rival(name, parts.test, SETTINGS, seed, strength=best.strength, epochs=best.epochs).model
        cold = evaluate(model, parts.test, seed=seed).segments["cold"]
        found.append((cold["normalized_entropy"], cold["ndcg@20"]))
    return np.mean(found, axis=0)


@pytest.fixture(scope="module")
def related():
    return simulate(n_users=600, events_per_user=(30, 8), seed=1).pair


@pytest.fixture(scope="module")
def null():
    return simulate(n_users=600, events_per_user=(30, 8), relatedness=0.0, seed=2).pair


def test_related_domains_help_cold_users(name, related):
    """For cold users real events alone know popularity and nothing else."""
    (loss, ndcg), (popular_loss, popular_ndcg) = judged(related, name), judged(related)
    assert loss < 0.985 * popular_loss
    assert ndcg > 1.1 * popular_ndcg


def test_a_null_world_shows_no_gain_for_cold_users(name, null):
    """Where nothing can be transferred no method predicts or ranks better than real events alone, beyond noise."""
    (loss, ndcg), (popular_loss, popular_ndcg) = judged(null, name), judged(null)
    assert loss > 0.99 * popular_loss
    assert ndcg < 1.1 * popular_ndcg


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="no conventional method is called 'emcd'") as error:
        get_rival("emcd")
    assert "did you mean 'emcdr'" in error.value.fix
