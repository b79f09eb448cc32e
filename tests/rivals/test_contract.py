"""What every conventional method promises."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, grouped_pair

from scalr.config import RIVALS, SplitSettings, TrainSettings
from scalr.errors import ConfigError, DivergenceError, LeakError
from scalr.evaluate import evaluate
from scalr.rivals import get_rival, rival_names, train_rival
from scalr.simulate import simulate
from scalr.split import split
from scalr.train import run_passes, train

SETTINGS = TrainSettings(dimensions=5, max_epochs=12)


@pytest.fixture(params=rival_names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fold():
    return folds().test


def after(name, fold, passes=2, seed=0):
    rival = get_rival(name)
    return list(islice(rival.passes(fold, SETTINGS, seed, rival.strengths[0]), passes))[-1]


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
    passes = get_rival(name).passes(fold, SETTINGS, 0, get_rival(name).strengths[0])
    first = next(passes)
    before = first.score(user, item)
    list(islice(passes, 2))
    np.testing.assert_array_equal(first.score(user, item), before)


def test_judged_pairs_and_hidden_events_change_nothing(name, fold):
    """A fold that judges one pair, and shows nothing that is hidden, gives the same model once passes are chosen."""
    chosen = train_rival(name, folds().validation, SETTINGS, trials=1)
    other = replace(fold, user=fold.user[:1], item=fold.item[:1], seen=fold.seen.take(np.zeros(len(fold.seen), bool)))
    one, two = (train_rival(name, each, SETTINGS, chosen=chosen) for each in (fold, other))
    user, item = everything(fold)
    np.testing.assert_array_equal(one.model.score(user, item), two.model.score(user, item))
    assert (one.epochs, one.strength) == (chosen.epochs, chosen.strength)


@pytest.mark.parametrize("log", ["target", "source"])
def test_a_log_that_reaches_into_the_judged_period_is_refused(name, fold, log):
    leaky = replace(fold, pair=replace(fold.pair, **{log: getattr(grouped_pair(), log)}))
    with pytest.raises(LeakError):
        train_rival(name, leaky, SETTINGS, trials=1)


def test_a_model_passes_the_guards_of_evaluation_for_its_own_fold_only(name, fold):
    model = after(name, fold)
    assert evaluate(model, fold).segments["cold"]["normalized_entropy"] is not None
    with pytest.raises(LeakError):
        evaluate(model, folds().validation)


def test_the_best_of_the_trials_is_kept(name):
    validation = folds().validation
    trials = [train_rival(name, validation, SETTINGS, trials=n) for n in (1, 3)]
    first, best = (min(one.validation_losses) for one in trials)
    assert best <= first
    assert trials[0].strength == get_rival(name).strengths[0]
    assert trials[1].strength in get_rival(name).strengths[:3]
    together = train_rival(name, validation, SETTINGS, trials=3, threads=3)
    assert (together.strength, together.validation_losses) == (trials[1].strength, trials[1].validation_losses)


def test_a_strength_that_diverges_is_passed_over_unless_all_do(monkeypatch):
    strengths, fold = get_rival("pooled").strengths, folds().validation

    def diverging(passes, *given, **more):
        if next(left):
            raise DivergenceError("diverged", expected="a loss that falls", fix="lower the rate")
        return run_passes(passes, *given, **more)

    monkeypatch.setattr("scalr.rivals.run_passes", diverging)
    left = iter([True, False])
    assert train_rival("pooled", fold, SETTINGS, trials=2).strength == strengths[1]
    left = iter([True, True])
    with pytest.raises(DivergenceError):
        train_rival("pooled", fold, SETTINGS, trials=2)


def judged(pair, name=None, seeds=2):
    """Return mean normalized entropy and NDCG of cold users, of real events alone where there is no name."""
    found = []
    for seed in range(seeds):
        parts = split(pair, SplitSettings(hide_overlap=0.5), seed)
        if name is None:
            epochs = train(parts.validation, None, SETTINGS, seed).epochs
            model = train(parts.test, None, SETTINGS, seed, epochs=epochs).model
        else:
            chosen = train_rival(name, parts.validation, SETTINGS, seed, trials=3)
            model = train_rival(name, parts.test, SETTINGS, seed, chosen=chosen).model
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


def test_no_trials_are_refused(fold):
    with pytest.raises(ConfigError, match="trials is 0"):
        train_rival("pooled", fold, SETTINGS, trials=0)
