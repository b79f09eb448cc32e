"""Evaluation: hand-built models, slow rewrites, and worlds whose answer is known."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tests.learning import folds, grouped_pair, with_newcomers

from scalr import evaluate as public_evaluate
from scalr.evaluation.folds import SEGMENTS
from scalr.evaluation.judging import evaluate, metric_names
from scalr.evaluation.metrics.predictive import labelled_rows, normalized_entropy
from scalr.evaluation.training import train
from scalr.foundation.config import EvaluateSettings, TrainSettings
from scalr.foundation.errors import LeakError, SchemaError
from scalr.logs.event_log import catalogue_of


@dataclass
class Table:
    """A model that knows P(label = 1) of every cell."""

    probabilities: np.ndarray
    fitted_until: int | None = None
    fitted_on: int | None = None

    def score(self, user, item):
        return self.probabilities[user, item]

    def rank_scores(self, users):
        return self.probabilities[users].astype(np.float32)


@pytest.fixture(scope="module")
def fold():
    return folds(with_newcomers(grouped_pair())).test


def table(fold, seed: int = 0, levels: int = 50) -> Table:
    shape = len(fold.pair.target.users), len(fold.pair.target.items)
    return Table(np.random.default_rng(seed).integers(1, levels, shape) / levels)


def test_metrics_have_the_names_others_read():
    expected = (
        "normalized_entropy", "calibration_ratio", "log_loss", "auc", "recall@20", "ndcg@20", "item_coverage@20",
    )  # fmt: skip
    assert metric_names(20) == expected
    assert public_evaluate is evaluate


def test_ranking_agrees_with_sorting_every_user(fold):
    model, top = table(fold, levels=8), 7
    found = evaluate(model, fold, EvaluateSettings(top=top))
    target, catalogue = fold.pair.target, set(catalogue_of(fold.pair.target).tolist())
    warm = set(target.user.tolist())
    recalls, ndcgs, listed = ({segment: [] for segment in SEGMENTS} for _ in range(3))
    for user in np.unique(fold.user):
        allowed = catalogue - set(fold.seen.item[fold.seen.user == user].tolist())
        best = sorted(allowed, key=lambda i: (-np.float32(model.probabilities[user, i]), i))[:top]
        wanted = set(fold.item[fold.user == user].tolist())
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(best) if item in wanted)
        ideal = sum(1 / np.log2(place + 2) for place in range(min(top, len(wanted))))
        natural = [] if user in fold.seen.user else ["naturally_cold"]
        for segment in ("all", "warm" if user in warm else "cold", *natural):
            recalls[segment].append(len(wanted & set(best)) / len(wanted))
            ndcgs[segment].append(gain / ideal)
            listed[segment].extend(best)
    for segment in SEGMENTS:
        metrics = found.segments[segment]
        assert metrics[f"recall@{top}"] == pytest.approx(np.mean(recalls[segment]))
        assert metrics[f"ndcg@{top}"] == pytest.approx(np.mean(ndcgs[segment]))
        assert metrics[f"item_coverage@{top}"] == len(set(listed[segment])) / len(catalogue)
        assert found.users[segment] == len(recalls[segment])


def test_predictive_metrics_use_the_segment_s_own_rows(fold):
    model = table(fold)
    found = evaluate(model, fold, EvaluateSettings(negatives=3), seed=5)
    rows = labelled_rows(fold, 3, seed=5)
    probabilities, cold = model.score(rows.user, rows.item), fold.is_cold(rows.user)
    natural = np.isin(rows.user, np.setdiff1d(rows.user, fold.seen.user))
    assert 0 < natural.sum() < cold.sum()
    for segment, chosen in (("all", cold | True), ("warm", ~cold), ("cold", cold), ("naturally_cold", natural)):
        expected = normalized_entropy(rows.label[chosen], probabilities[chosen])
        assert found.segments[segment]["normalized_entropy"] == pytest.approx(expected, rel=1e-12)
        assert found.pairs[segment] == chosen.sum() // 4
    assert found.pairs["all"] == found.pairs["warm"] + found.pairs["cold"] == len(fold.user)


def test_sums_per_user_give_the_ratio_of_two_models(fold):
    one, other = (evaluate(table(fold, seed), fold) for seed in (1, 2))
    for segment in SEGMENTS:
        for metric in metric_names(20):
            sums = one.user_sums(segment, metric), other.user_sums(segment, metric)
            if metric in ("auc", "item_coverage@20"):
                assert sums == (None, None)
                continue
            ratio = sums[0][0].sum() / sums[1][0].sum()
            assert ratio == pytest.approx(one.segments[segment][metric] / other.segments[segment][metric], rel=1e-9)
            np.testing.assert_array_equal(sums[0][1], sums[1][1])


def test_lists_of_some_users_leave_all_other_metrics_and_those_lists_as_they_are(fold):
    model, names = train(fold, settings=TrainSettings(max_epochs=2), epochs=2).model, metric_names(20)
    every, some = (evaluate(model, fold, EvaluateSettings(ranked_users=most)) for most in (None, 7))
    assert [some.segments["all"][name] for name in names[:4]] == [every.segments["all"][name] for name in names[:4]]
    for name in names[4:6]:
        values, keys = some.user_sums("all", name)
        assert len(values) == 7
        all_values, all_keys = every.user_sums("all", name)
        np.testing.assert_array_equal(values, all_values[np.isin(all_keys, keys)])
        assert some.segments["all"][name] == pytest.approx(values.mean())


def test_without_lists_there_are_only_losses(fold):
    model, names = train(fold, settings=TrainSettings(max_epochs=2), epochs=2).model, metric_names(20)
    every, none = (evaluate(model, fold, EvaluateSettings(ranked_users=most)) for most in (None, 0))
    for segment in SEGMENTS:
        assert [none.segments[segment][name] for name in names[:4]] == [
            every.segments[segment][name] for name in names[:4]
        ]
        assert [none.segments[segment][name] for name in names[4:]] == [None] * 3


def test_a_model_that_knows_the_judged_pairs_is_perfect(fold):
    truth = np.full((len(fold.pair.target.users), len(fold.pair.target.items)), 0.01)
    truth[fold.user, fold.item] = 0.99
    metrics = evaluate(Table(truth), fold).segments["all"]
    assert metrics["ndcg@20"] == pytest.approx(1.0)
    assert metrics["recall@20"] == pytest.approx(1.0)
    assert metrics["auc"] > 0.97  # a negative may be a judged pair by chance


def test_equal_scores_are_ranked_by_item_code(fold):
    flat = Table(np.full((len(fold.pair.target.users), len(fold.pair.target.items)), 0.2))
    user = fold.user[fold.is_cold(fold.user)]
    cold = replace(fold, user=user, item=fold.item[: len(user)], seen=fold.pair.target)  # nothing to leave out
    metrics = evaluate(flat, cold, EvaluateSettings(top=5)).segments
    assert metrics["cold"]["item_coverage@5"] == 5 / len(catalogue_of(fold.pair.target))
    assert metrics["all"]["normalized_entropy"] == pytest.approx(1.0, rel=1e-12)
    assert metrics["all"]["auc"] == 0.5


def test_a_segment_without_users_is_null_in_json():
    found = evaluate(table(fold := folds(hide=0.0).test), fold)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    for segment in ("cold", "naturally_cold"):
        assert set(found.segments[segment]) == set(metric_names(20))
        assert set(found.segments[segment].values()) == {None}
        assert written[segment]["users"] == written[segment]["pairs"] == 0
    assert written["all"]["auc"] == found.segments["all"]["auc"]


def test_a_model_that_saw_the_judged_period_and_an_empty_fold_are_refused(fold):
    with pytest.raises(LeakError, match="the model saw"):
        evaluate(replace(table(fold), fitted_until=fold.until), fold)
    with pytest.raises(SchemaError, match="judges no pair"):
        evaluate(table(fold), replace(fold, user=fold.user[:0], item=fold.item[:0]))


def judged(focus: float) -> dict[str, float | None]:
    """Judge a model on users who know few of the 240 items: training negatives may be known items, judged ones not."""
    split = folds(grouped_pair(users=300, items=240, events=9000, focus=focus), hide=0.0)
    settings = TrainSettings(dimensions=8)
    epochs = train(split.validation, None, settings).epochs
    return evaluate(train(split.test, None, settings, epochs=epochs).model, split.test).segments["all"]


def test_planted_groups_are_found():
    metrics = judged(focus=0.95)
    assert metrics["normalized_entropy"] < 0.8
    assert metrics["auc"] > 0.78
    assert metrics["calibration_ratio"] == pytest.approx(1.0, abs=0.2)


def test_there_is_nothing_to_find_in_noise():
    metrics = judged(focus=0.0)
    assert metrics["normalized_entropy"] > 0.99
    assert metrics["auc"] == pytest.approx(0.5, abs=0.04)
