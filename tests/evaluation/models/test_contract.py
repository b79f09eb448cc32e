"""What every downstream model promises."""

from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, synthetic_for

from scalr.evaluation.models import get_model, model_names, settled
from scalr.evaluation.models.deep import NETWORKS
from scalr.evaluation.training import examples_of
from scalr.foundation.config import TrainSettings
from scalr.foundation.errors import ConfigError

SETTINGS = TrainSettings(dimensions=5, batch_size=64)


MODULES = {"lightgbm": ("lightgbm", "scipy"), "implicit_als": ("implicit", "sklearn")} | dict.fromkeys(
    NETWORKS, ("torch_rechub",)
)
"""What models beyond the reference import."""


@pytest.fixture(params=[(name, loss) for name in model_names() for loss in get_model(name).losses or (None,)], ids=str)
def recipe(request):
    name, loss = request.param
    for module in MODULES.get(name, ()):
        pytest.importorskip(module, reason=f"model {name} needs the extra {get_model(name).extra}")
    kind = get_model(name)
    if kind.extra == "torch":
        pytest.importorskip("torch").set_num_threads(1)  # spinning threads of tests slow one another down
    return lambda examples, settings, seed: kind.recipe(examples, settings.model_copy(update={"loss": loss}), seed)


@pytest.fixture(scope="module")
def fold():
    return folds().test


@pytest.fixture(scope="module")
def examples(fold):
    return examples_of(fold, synthetic_for(fold), SETTINGS)


def after(recipe, examples, passes: int, settings: TrainSettings = SETTINGS, seed: int = 0):
    return list(islice(recipe(examples, settings, seed), passes))[-1]


def everything(examples):
    n_users, n_items = len(examples.user_keys), len(examples.item_keys)
    return np.repeat(np.arange(n_users, dtype=np.int32), n_items), np.tile(np.arange(n_items, dtype=np.int32), n_users)


@pytest.mark.parametrize("objective", ["auxiliary", "joint", "thinned"])
def test_scores_are_probabilities_for_every_user_and_item(recipe, examples, objective):
    settings = SETTINGS.model_copy(update={"objective": objective})
    user, item = everything(examples)
    probabilities = after(recipe, examples, 2, settings).score(user, item)
    assert probabilities.shape == user.shape
    assert probabilities.dtype == np.float64
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_rank_scores_order_items_as_scores_do(recipe, examples):
    model = after(recipe, examples, 3)
    users = np.array([5, 2, 5], np.int32)
    block = model.rank_scores(users)
    assert block.shape == (3, len(examples.item_keys))
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block[0], block[2])
    for row, user in zip(block, users, strict=True):
        items = np.argsort(row, kind="stable").astype(np.int32)
        assert (np.diff(model.score(np.full(len(items), user, np.int32), items)) >= 0).all()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(recipe, examples):
    user, item = everything(examples)
    one, same, other = (after(recipe, examples, 2, seed=seed).score(user, item) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_model_that_was_handed_out_does_not_change(recipe, examples):
    user, item = everything(examples)
    passes = recipe(examples, SETTINGS, 0)
    first = next(passes)
    before = first.score(user, item)
    second = next(passes).score(user, item)
    np.testing.assert_array_equal(first.score(user, item), before)
    assert not np.array_equal(second, before)


def test_positives_become_likelier_than_the_rest(recipe, fold):
    examples = examples_of(fold, None, SETTINGS)
    model = after(recipe, examples, 20)
    assert model.score(examples.user, examples.item).mean() > 1.5 * model.score(*everything(examples)).mean()


def test_a_model_knows_how_much_it_saw(recipe, fold, examples):
    assert after(recipe, examples, 1).fitted_until == examples.fitted_until
    assert examples.fitted_until == max(fold.pair.source.last_time(), fold.pair.target.last_time())


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="no model is called 'MF'") as error:
        get_model("MF")
    assert "did you mean 'mf'" in error.value.fix


@pytest.mark.parametrize("name", model_names())
def test_a_model_has_rates_and_passes_of_its_own_which_settings_overrule_in_both_directions(name):
    kind, own = get_model(name), settled(TrainSettings(model=name))
    assert (own.learning_rate, own.l2) == (kind.learning_rate, kind.l2)
    assert (own.max_epochs, own.patience) == (kind.max_epochs, kind.patience)
    asked = TrainSettings(model=name, learning_rate=0.5, l2=0.0, max_epochs=1000, patience=1)
    assert settled(asked) == asked
