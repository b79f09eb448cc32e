"""The loss in_batch: against a plain loop, against the known popularity of a world, and its link."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from tests.learning import folds, synthetic_for

from scalr.evaluation.models import deep, get_model, model_names
from scalr.evaluation.models.deep.entities import Entities
from scalr.evaluation.models.deep.rows import MemoryRows, RowSampling, TrainingRows, rows_in_memory
from scalr.evaluation.models.protocol import Examples
from scalr.evaluation.training import examples_of, train
from scalr.foundation.config import TrainSettings
from scalr.foundation.errors import ConfigError

torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
pytest.importorskip("torch_rechub", reason="needs the extra 'torch'")

torch.set_num_threads(1)
SETTINGS = TrainSettings(model="two_tower", loss="in_batch", dimensions=4, batch_size=128, shrinkage=None)


@pytest.fixture(scope="module")
def fold():
    return folds().test


def model_after(examples, n, settings=SETTINGS, seed=0):
    return list(islice(deep.NETWORKS["two_tower"](examples, settings, seed), n))[-1]


def in_batch(share):
    from scalr.evaluation.models.deep.inbatch import InBatch

    return InBatch(torch.log(torch.tensor(share)))


def test_probabilities_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    item, share = np.array([0, 2, 1, 2, 0, 0]), np.array([0.5, 0.2, 0.3], np.float32)
    kind = np.array([False, True, True, False, False, True])
    logit = random.normal(0, 2, (6, 6)).astype(np.float32)
    for told in (None, kind):
        expected = np.zeros((6, 6))
        for row in range(6):
            odds = {}
            for candidate in range(6):
                own = candidate == row
                accident = item[candidate] == item[row] and not own
                stranger = told is not None and kind[candidate] != kind[row]
                if own or not (accident or stranger):
                    odds[candidate] = math.exp(logit[row, candidate]) / share[item[candidate]]
            for candidate, value in odds.items():
                expected[row, candidate] = value / sum(odds.values())
        kinds = None if told is None else torch.from_numpy(told)
        found = in_batch(share).log_probabilities(torch.from_numpy(logit), torch.from_numpy(item), kinds)
        np.testing.assert_allclose(found.exp().numpy(), expected, rtol=1e-5, atol=1e-7)


def known_world(n_rows: int = 12_000, n_users: int = 300, seed: int = 0) -> tuple[Examples, np.ndarray]:
    """Return rows whose items do not depend on their users, and the popularity that they were drawn by."""
    random, popularity = np.random.default_rng(seed), 0.75 ** np.arange(20)
    popularity /= popularity.sum()
    rows = Examples(
        user=random.integers(0, n_users, n_rows).astype(np.int32),
        item=random.choice(20, n_rows, p=popularity).astype(np.int32),
        weight=np.ones(n_rows, np.float32),
        is_synthetic=np.zeros(n_rows, np.bool_),
        n_first=n_rows,
        catalogue=np.arange(20, dtype=np.int32),
        user_keys=np.arange(n_users, dtype=np.uint64),
        item_keys=np.arange(20, dtype=np.uint64),
        fitted_until=None,
        fitted_on=0,
    )
    return rows, popularity


def slope_on_log_popularity(learner, rows, popularity) -> float:
    batches = learner.epochs(rows_in_memory(rows, 0), 256)
    offset = list(islice(batches, 12))[-1].rank_scores(np.arange(50, dtype=np.int32)).mean(axis=0)
    return float(np.polyfit(np.log(popularity), offset, 1)[0])


def test_scores_know_popularity_by_the_correction_and_are_blind_to_it_without(monkeypatch):
    """Where users do not matter P(item) is popularity: scores must be its log; negatives from the stream hide it."""
    from scalr.evaluation.models.deep import learner as module

    monkeypatch.setattr(module, "linked", lambda model, asked: model)  # what the softmax learns, by itself
    rows, popularity = known_world()
    settings = SETTINGS.model_copy(update={"l2": 0.0})
    sources = rows_in_memory(rows, 0)
    begin = module.Learner.begin(
        "two_tower", Entities.from_examples(rows), np.zeros((2, 20), np.float32), settings, (0.03, 0.0), 0, sources
    )
    assert slope_on_log_popularity(begin, rows, popularity) == pytest.approx(1.0, abs=0.1)
    again = module.Learner.begin(
        "two_tower", Entities.from_examples(rows), np.zeros((2, 20), np.float32), settings, (0.03, 0.0), 0, sources
    )
    blind = replace(again, in_batch=in_batch(np.full(20, 0.05, np.float32)))
    assert slope_on_log_popularity(blind, rows, popularity) == pytest.approx(0.0, abs=0.1)


def test_synthetic_rows_count_by_the_chance_that_a_pass_has_them():
    from scalr.evaluation.models.deep.inbatch import InBatch

    def rows(first, item, weight, synthetic):
        n = len(item)
        codes = np.array(item, np.int32)
        return TrainingRows(
            np.arange(first, first + n), codes, codes, np.array(weight, np.float32), np.full(n, synthetic, np.bool_)
        )

    real = MemoryRows(rows(0, [0, 0, 1], [1.0, 2.0, 1.0], False), RowSampling(0, mixed=False))
    mixed = MemoryRows(rows(3, [1, 2, 2, 2], [0.5, 0.25, 0.25, 3.0], True), RowSampling(0, mixed=True))
    expected = np.array([2.0, 1.5, 1.5]) / 5.0
    found = InBatch.from_sources((real, mixed), 4, torch.device("cpu")).log_share.exp().numpy()
    np.testing.assert_allclose(found[:3], expected, rtol=1e-6)
    drawn = np.zeros(3)
    for epoch in range(4000):
        for source in (real, mixed):
            for part in source.portions(epoch):
                drawn += np.bincount(part.item, minlength=3)
    np.testing.assert_allclose(drawn / drawn.sum(), expected, atol=0.01)  # 4 standard errors are 0.013 at most


@pytest.mark.parametrize("objective", ["auxiliary", "joint", "thinned"])
def test_weight_zero_is_real_only_bit_for_bit(fold, objective):
    settings = SETTINGS.model_copy(update={"objective": objective})
    weightless = settings.model_copy(update={"synthetic_weight": 0.0})
    real, none, some = (
        train(fold, events, one, 3, epochs=2).model
        for events, one in ((None, settings), (synthetic_for(fold), weightless), (synthetic_for(fold), settings))
    )
    user = np.arange(len(fold.pair.target.users), dtype=np.int32)
    np.testing.assert_array_equal(real.rank_scores(user), none.rank_scores(user))
    assert not np.array_equal(real.rank_scores(user), some.rank_scores(user))


def test_the_loss_is_another_than_the_models_own_which_needs_no_name(fold):
    examples = examples_of(fold, synthetic_for(fold), SETTINGS)
    user = np.arange(len(examples.user_keys), dtype=np.int32)
    own, binary, other = (
        model_after(examples, 2, SETTINGS.model_copy(update={"loss": loss})).rank_scores(user)
        for loss in (None, "binary", "in_batch")
    )
    np.testing.assert_array_equal(own, binary)
    assert not np.array_equal(own, other)


def test_what_synthetic_rows_know_about_themselves_is_theirs(fold):
    """With the objective `auxiliary` their popular items raise biases that prediction does not have."""
    examples = examples_of(fold, None, SETTINGS)
    n = 2000
    item = np.full(n, examples.catalogue[0], np.int32)
    loud = replace(
        examples,
        user=np.concatenate([examples.user, np.tile(examples.user, 9)[:n]]),
        item=np.concatenate([examples.item, item]),
        weight=np.concatenate([examples.weight, np.ones(n, np.float32)]),
        is_synthetic=np.concatenate([examples.is_synthetic, np.ones(n, np.bool_)]),
        time=None,
    )
    user = np.arange(len(examples.user_keys), dtype=np.int32)
    lift = {}
    for objective in ("auxiliary", "joint"):
        settings = SETTINGS.model_copy(update={"objective": objective})
        scores = model_after(loud, 5, settings).rank_scores(user).mean(axis=0)
        lift[objective] = scores[examples.catalogue[0]] - scores[examples.catalogue].mean()
    assert lift["auxiliary"] < 0.5 * lift["joint"]


def test_rows_that_were_held_back_meet_their_own_base_rate_and_are_not_learnt_from(fold):
    from scalr.evaluation.models.deep.link import HELD_BACK, link_rows_of
    from scalr.evaluation.models.deep.rows import UniformNegatives

    examples = examples_of(fold, synthetic_for(fold), SETTINGS)
    model = model_after(examples, 4)
    real, negatives = rows_in_memory(examples, 0)[0], UniformNegatives(0, 4, examples.catalogue, examples.catalogue)
    left_out, seen = real.part(0.0, HELD_BACK), real.part(HELD_BACK, 1.0)
    asked = link_rows_of(left_out, negatives)
    assert len(asked.user) == 5 * left_out.count(0)
    assert left_out.count(0) + seen.count(0) == examples.n_first
    assert left_out.count(0) == pytest.approx(HELD_BACK * examples.n_first, rel=0.3)
    assert model.score(asked.user, asked.item).mean() == pytest.approx(0.2, abs=1e-4)
    numbers = [set(next(part.portions(0)).number.tolist()) for part in (left_out, seen)]
    assert not numbers[0] & numbers[1]
    place = min(numbers[0])
    other = replace(examples, item=examples.item.copy())
    other.item[place] = (other.item[place] + 1) % len(examples.item_keys)
    assert scale_free(model_after(other, 4)) == scale_free(model)


def scale_free(model) -> list:
    """Return what does not depend on the link: the order of every user's items, on two users."""
    return np.argsort(model.rank_scores(np.arange(2, dtype=np.int32)), axis=1, kind="stable").tolist()


def test_the_link_is_the_best_scale_and_offset():
    from scalr.evaluation.models.deep.link import LEAST_SCALE, fit_link

    random = np.random.default_rng(0)
    score, weight = random.normal(3, 2, 200_000), random.uniform(0.5, 1.5, 200_000)
    label = (random.random(200_000) < 1 / (1 + np.exp(-(0.7 * score - 4)))).astype(np.float64)
    assert fit_link(score, label, weight) == pytest.approx((0.7, -4.0), abs=0.05)
    linear = pytest.importorskip("sklearn.linear_model", reason="needs the extra 'models'")
    fitted = linear.LogisticRegression(C=1e6, tol=1e-8).fit(score[:, None], label, sample_weight=weight)
    assert fit_link(score, label, weight) == pytest.approx((fitted.coef_[0, 0], fitted.intercept_[0]), rel=1e-3)
    apart = np.repeat([0.0, 1.0], 50)
    scale, offset = fit_link(apart, apart, np.ones(100))
    assert 0 < scale < 100
    assert np.isfinite(offset)
    assert fit_link(-score, label, weight)[0] == LEAST_SCALE  # never turns the order round
    assert fit_link(np.ones(100), apart, np.ones(100))[1] == pytest.approx(0.0, abs=0.01)


def test_small_catalogues_and_heavy_rows_do_not_diverge():
    rows, _ = known_world(5_000)
    for heavy in (1.0, 1e4):
        some = replace(rows, weight=np.full(len(rows), heavy, np.float32))
        settings = SETTINGS.model_copy(update={"batch_size": 4096, "learning_rate": 0.2})
        assert np.isfinite(model_after(some, 3, settings).rank_scores(np.arange(5, dtype=np.int32))).all()


@pytest.mark.parametrize("name", [name for name in model_names() if name != "two_tower"])
def test_other_models_refuse_it(fold, name):
    with pytest.raises(ConfigError, match=f"model '{name}' cannot be trained by loss 'in_batch'") as error:
        train(fold, None, TrainSettings(model=name, loss="in_batch"), epochs=1)
    assert "two_tower" in error.value.fix
    assert "in_batch" not in get_model(name).losses


def test_streams_refuse_it_too(fold):
    examples = examples_of(fold, None, SETTINGS)
    settings = SETTINGS.model_copy(update={"model": "deepfm"})
    with pytest.raises(ConfigError, match="cannot be trained"):
        deep.fit_rows("deepfm", rows_in_memory(examples, 0), Entities.from_examples(examples), settings)
