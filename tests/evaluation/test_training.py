"""Training: what weighs how much, what is paired between arms, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from tests.learning import folds, grouped_pair, synthetic_for

from scalr.evaluation.metrics.predictive import labelled_rows, normalized_entropy
from scalr.evaluation.training import ExtraReal, examples_of, fading, interactions, train
from scalr.foundation import rng
from scalr.foundation.config import TrainSettings
from scalr.foundation.errors import ConfigError, LeakError, SchemaError
from scalr.logs.event_log import EventLog
from scalr.synthesis.weights import synthetic_weights

SETTINGS = TrainSettings(shrinkage=None, dimensions=4, max_epochs=6)
FACTORS = ("user_factors", "item_factors", "item_bias", "intercept")


@pytest.fixture(scope="module")
def split():
    return folds()


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one.model, name), getattr(other.model, name)) for name in FACTORS)


def with_settings(**changes) -> TrainSettings:
    return SETTINGS.model_copy(update=changes)


@pytest.mark.parametrize("objective", ["auxiliary", "joint", "thinned"])
@pytest.mark.parametrize("shrinkage", [None, 2.0])
def test_weight_zero_is_real_only_bit_for_bit(split, objective, shrinkage):
    settings = with_settings(objective=objective, shrinkage=shrinkage, synthetic_weight=0.0)
    real_only = train(split.test, None, settings, seed=3, epochs=3)
    assert same(real_only, train(split.test, synthetic_for(split.test), settings, seed=3, epochs=3))
    settings = with_settings(objective=objective, shrinkage=shrinkage)
    weightless = replace(synthetic_for(split.test), weight=np.zeros(500, np.float32))
    assert same(real_only, train(split.test, weightless, settings, seed=3, epochs=3))


@pytest.mark.parametrize("half_life", [0.1, 0.5])
def test_weights_fade_with_the_age_since_the_newest_event(split, half_life):
    log = split.test.pair.target
    faded = fading(log, half_life)
    span = int(log.time.max()) - int(log.time.min())
    newest, oldest = int(np.argmax(log.time)), int(np.argmin(log.time))
    assert faded.weight.mean() == pytest.approx(1.0, rel=1e-5)
    assert faded.weight.argmax() == newest
    assert faded.weight[oldest] / faded.weight[newest] == pytest.approx(0.5 ** (1 / half_life), rel=1e-4)
    age = (int(log.time.max()) - log.time) / span
    np.testing.assert_allclose(faded.weight, faded.weight[newest] * 0.5 ** (age / half_life), rtol=1e-5)


def test_a_repeated_interaction_keeps_the_weight_of_its_newest_event(split):
    log, n_items = split.test.pair.target, len(split.test.pair.target.items)
    cell = log.user.astype(np.int64) * n_items + log.item
    user, item, weight = interactions(log, 0.2)
    faded = fading(log, 0.2).weight
    for one in range(0, len(user), 7):
        events = np.flatnonzero(cell == user[one] * n_items + item[one])
        assert weight[one] == faded[events[np.argmax(log.time[events])]]


@pytest.mark.parametrize("objective", ["auxiliary", "joint", "thinned"])
def test_synthetic_events_change_the_model(split, objective):
    settings = with_settings(objective=objective)
    real_only = train(split.test, None, settings, epochs=2)
    assert not same(real_only, train(split.test, synthetic_for(split.test), settings, epochs=2))


def test_weights_are_lambda_times_event_weight_times_shrinkage(split):
    fold = split.test
    synthetic = synthetic_for(fold)
    synthetic = replace(synthetic, weight=np.linspace(0, 3, 500).astype(np.float32))
    settings = with_settings(synthetic_weight=0.4, shrinkage=2.0)
    history = [(fold.pair.target.user == user).sum() for user in synthetic.user]
    expected = [0.4 * w * 2 / (2 + n) for w, n in zip(synthetic.weight.astype(float), history, strict=True)]
    np.testing.assert_allclose(synthetic_weights(synthetic, fold.pair.target, settings), expected, rtol=1e-12)
    examples = examples_of(fold, synthetic, settings)
    np.testing.assert_allclose(examples.weight[examples.is_synthetic], expected[1:], rtol=1e-6)  # the first weighs 0
    np.testing.assert_array_equal(examples.user[examples.is_synthetic], synthetic.user[1:])
    np.testing.assert_array_equal(examples.item[examples.is_synthetic], synthetic.item[1:])


def test_thinned_keeps_whole_events_in_proportion_to_their_weight(split):
    synthetic = synthetic_for(split.test, rows=2000)
    synthetic = replace(synthetic, weight=np.tile([0.5, 1.0, 9.0], 667)[:2000].astype(np.float32))
    examples = examples_of(split.test, synthetic, with_settings(objective="thinned", synthetic_weight=0.4), seed=2)
    kept = examples.is_synthetic
    assert (examples.weight[kept] == 1.0).all()
    chance = rng.keyed_units(2, rng.Purpose.THIN, synthetic.keys())
    np.testing.assert_array_equal(examples.user[kept], synthetic.user[chance < 0.4 * synthetic.weight])
    shares = [(chance < 0.4 * synthetic.weight)[start::3].mean() for start in range(3)]
    error = 4 * np.sqrt(0.25 / 666)  # 4 standard errors at most
    assert shares == pytest.approx([0.2, 0.4, 1.0], abs=error)


def test_real_rows_are_distinct_interactions_with_their_largest_weight(split):
    target = split.test.pair.target
    weight = np.random.default_rng(0).integers(0, 4, len(target)).astype(np.float32)
    fold = replace(split.test, pair=replace(split.test.pair, target=replace(target, weight=weight)))
    examples = examples_of(fold, None, SETTINGS)
    largest: dict[tuple[int, int], float] = {}
    for user, item, w in zip(target.user, target.item, weight, strict=True):
        largest[user, item] = max(largest.get((user, item), 0.0), w)
    found = zip(examples.user.tolist(), examples.item.tolist(), examples.weight.tolist(), strict=True)
    assert sorted(found) == sorted((u, i, w) for (u, i), w in largest.items() if w > 0)
    assert examples.n_first == len(examples)


def test_labels_of_zero_are_not_learned_from(split):
    target = split.test.pair.target
    label = (np.arange(len(target)) % 2).astype(np.int8)
    log: EventLog = replace(target, label=label)
    fold = replace(split.test, pair=replace(split.test.pair, target=log))
    halved = replace(split.test, pair=replace(split.test.pair, target=target.take(label == 1)))
    one, other = examples_of(fold, None, SETTINGS), examples_of(halved, None, SETTINGS)
    for name in ("user", "item", "weight", "catalogue"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_extra_real_rows_share_the_real_head(split):
    real = examples_of(split.test, None, SETTINGS)
    extra = ExtraReal(real.user[:50], real.item[:50], np.full(50, 0.3, np.float32))
    examples = examples_of(split.test, None, SETTINGS, extra_real=extra)
    assert (len(examples), examples.n_first, examples.is_synthetic.any()) == (len(real) + 50, len(real), False)
    auxiliary, joint = (
        train(split.test, None, with_settings(objective=objective), epochs=2, extra_real=extra)
        for objective in ("auxiliary", "joint")
    )
    assert same(auxiliary, joint)
    none = ExtraReal(real.user[:50], real.item[:50], np.zeros(50, np.float32))
    real_only = train(split.test, None, SETTINGS, epochs=2)
    assert same(real_only, train(split.test, None, SETTINGS, epochs=2, extra_real=none))
    assert not same(real_only, auxiliary)


def test_early_stopping_keeps_the_best_pass(split):
    settings = with_settings(max_epochs=40, patience=2, learning_rate=0.3)
    calls = []
    trained = train(split.validation, None, settings, seed=1, progress=lambda *call: calls.append(call))
    losses = trained.validation_losses
    assert trained.epochs == int(np.argmin(losses)) + 1
    assert len(losses) == trained.epochs + 2 < 40
    assert calls == list(enumerate(losses, start=1))
    rows = labelled_rows(split.validation, settings.negatives, seed=1)
    again = train(split.validation, None, settings, seed=1, epochs=trained.epochs)
    assert same(trained, again)
    assert again.validation_losses == ()
    assert normalized_entropy(rows.label, again.model.score(rows.user, rows.item)) == min(losses)


def test_the_receipt_counts_rows_and_passes(split):
    trained = train(split.test, synthetic_for(split.test), SETTINGS, epochs=2)
    receipt = trained.receipt.to_json()
    assert receipt["rows_in"] == len(split.test.pair.target) + 500
    assert receipt["rows_out"] == receipt["real_rows"] + receipt["synthetic_rows"]
    assert receipt["synthetic_rows"] == 500
    assert receipt["synthetic_weight"] == pytest.approx(150, abs=0.01)  # 500 events, each 0.3
    assert receipt["epochs"] == 2


def test_what_saw_the_judged_period_is_refused(split):
    fold = split.validation
    leaking = synthetic_for(fold, fitted_until=fold.until)
    with pytest.raises(LeakError, match="the translation of the synthetic events saw"):
        train(fold, leaking, SETTINGS, epochs=1)
    source_only = replace(split.test.pair, target=fold.pair.target)  # drawn for source events of the judged period
    later = replace(synthetic_for(split.test), pair=source_only, fitted_until=fold.until - 1)
    with pytest.raises(LeakError, match="the synthetic events saw"):
        train(fold, later, SETTINGS, epochs=1)
    with pytest.raises(LeakError, match="the target log saw"):
        train(replace(fold, pair=replace(fold.pair, target=split.test.pair.target)), None, SETTINGS, epochs=1)
    with pytest.raises(LeakError, match="the source log saw"):
        train(replace(fold, pair=replace(fold.pair, source=split.test.pair.source)), None, SETTINGS, epochs=1)


def test_synthetic_events_of_other_logs_are_refused(split):
    other = folds(grouped_pair(users=190)).test
    with pytest.raises(SchemaError, match="190 target users that are not the fold's 200"):
        train(split.test, synthetic_for(other), SETTINGS, epochs=1)
    read_again = folds().test
    train(split.test, synthetic_for(read_again), SETTINGS, epochs=1)  # equal keys are enough


def test_nothing_to_learn_from_or_to_validate_on_is_refused(split):
    target = split.test.pair.target
    empty = replace(split.test.pair, target=target.take(np.zeros(len(target), np.bool_)))
    with pytest.raises(SchemaError, match="has no positive event"):
        train(replace(split.test, pair=empty), None, SETTINGS, epochs=1)
    no_pairs = replace(split.validation, user=split.validation.user[:0], item=split.validation.item[:0])
    with pytest.raises(SchemaError, match="judges no pair"):
        train(no_pairs, None, SETTINGS)
    with pytest.raises(ConfigError, match="epochs is 0"):
        train(split.test, None, SETTINGS, epochs=0)


def test_divergence_is_an_error_and_not_a_number(split):
    with pytest.raises(ConfigError, match="diverged in epoch"):
        train(split.validation, None, with_settings(learning_rate=1e6, l2=1.0))
