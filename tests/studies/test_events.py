import json

import numpy as np
import pytest

from scalr.evaluation.cross_domain import train_rival
from scalr.evaluation.folds import SEGMENTS, split
from scalr.evaluation.judging import evaluate
from scalr.foundation.config import DEFAULT_ARMS, RIVALS, Steps
from scalr.logs.simulation import simulate
from scalr.studies.arms import Synthesis
from scalr.studies.choosing.trialling import EQUAL
from scalr.studies.events import study
from scalr.synthesis.weights import synthetic_weights

STEPS = Steps.parse(
    {
        "split": {"hide_overlap": 0.5},
        "sample": {"draws_per_event": 2},
        "train": {"max_epochs": 12},
        "study": {"seeds": 3},
    }
)


@pytest.fixture(scope="module")
def related():
    """A world in which the source tells the target taste, and the target alone hardly does."""
    return study(simulate(n_users=600, events_per_user=(30, 4), seed=1).pair, STEPS).to_json()


def changes(content, arm, segment="all", metric="normalized_entropy", baseline="real_only"):
    wanted = {"arm": arm, "baseline": baseline, "segment": segment, "metric": metric}
    return next(row for row in content["comparisons"] if wanted.items() <= row.items())


def test_related_domains_help_and_beat_every_control(related):
    for segment in ("all", "cold"):
        change = changes(related, "scalr", segment)
        assert change["relative_change"] < -0.01
        assert change["interval"][1] < 0
    for control in ("oversampled_real", "random_items", "popular_items", "shuffled_users"):
        assert changes(related, "scalr", baseline=control)["relative_change"] < 0


def test_a_null_world_shows_no_transfer():
    """Unrelated domains: real users' events are worth no more than those of shuffled users.

    The interval is a 99.9 % t interval over 4 seeds, so the false-alarm rate is 0.1 %; the seed is fixed.
    """
    from scipy import stats

    steps = STEPS.model_copy(
        update={"study": STEPS.study.model_copy(update={"seeds": 4, "arms": ("shuffled_users", "scalr")})}
    )
    world = simulate(n_users=600, events_per_user=(30, 4), relatedness=0.0, seed=2)
    content = study(world.pair, steps).to_json()
    per_seed = {
        arm: np.array(content["arms"][arm]["normalized_entropy"]["per_seed"]) for arm in ("scalr", "shuffled_users")
    }
    change = per_seed["scalr"] / per_seed["shuffled_users"] - 1
    half_width = stats.t.ppf(0.9995, 3) * change.std(ddof=1) / 2
    assert abs(change.mean()) < half_width
    assert changes(content, "scalr")["relative_change"] > -0.01


def test_the_json_has_the_fields_of_the_schema(related):
    assert related["schema"] == "scalr.study/1"
    popularity = related["references"]["popularity"]
    assert set(popularity) == set(related["arms"]["real_only"])
    assert all(len(values["per_seed"]) == STEPS.study.seeds for values in popularity.values())
    assert tuple(related["arms"]) == DEFAULT_ARMS
    metrics = {"normalized_entropy", "calibration_ratio", "log_loss", "auc", "recall@20", "ndcg@20", "item_coverage@20"}
    for arm in DEFAULT_ARMS:
        assert set(related["arms"][arm]) == metrics
        for metric in related["arms"][arm].values():
            assert len(metric["per_seed"]) == 3
            assert metric["mean"] == pytest.approx(np.mean(metric["per_seed"]))
    for row in related["comparisons"]:
        assert {"arm", "baseline", "segment", "metric", "relative_change", "interval", "level", "p_value"} <= set(row)
        assert row["segment"] in SEGMENTS
    json.dumps(related, allow_nan=False)


def test_all_arms_share_judged_pairs_and_first_parameters(related):
    """Arms of a seed differ in nothing but their rows, so an arm that adds none is the baseline itself."""
    pair = simulate(n_users=300, seed=1).pair
    steps = Steps.parse(
        {
            "train": {"synthetic_weight": 0.0, "max_epochs": 3},
            "study": {"seeds": 2, "arms": ["shuffled_users", "scalr"]},
        }
    )
    content = study(pair, steps).to_json()
    assert content["arms"]["scalr"] == content["arms"]["real_only"] == content["arms"]["shuffled_users"]
    assert all(row["relative_change"] == 0 for row in content["comparisons"])


def test_threads_change_nothing():
    pair = simulate(n_users=200, seed=1).pair
    steps = Steps.parse({"train": {"max_epochs": 2}, "study": {"seeds": 1}})
    assert study(pair, steps, threads=1).to_json() == study(pair, steps, threads=3).to_json()


def test_top1_has_the_total_weight_of_scalr():
    steps = Steps.parse({"train": {"max_epochs": 1}, "study": {"seeds": 1, "arms": ["top1", "scalr"]}})
    done = study(simulate(n_users=200, seed=1).pair, steps)
    top1, scalr = done.synthetic["top1"], done.synthetic["scalr"]
    assert top1.weight.sum() == pytest.approx(scalr.weight.sum(), rel=1e-4)
    assert (top1.draw == 0).all()
    assert top1.item_coverage() < scalr.item_coverage()


def test_one_seed_compares_users():
    steps = Steps.parse({"train": {"max_epochs": 2}, "study": {"seeds": 1, "arms": ["scalr"]}})
    content = study(simulate(n_users=200, seed=1).pair, steps).to_json()
    assert content["protocol"]["interval"] == "bootstrap over test users"
    low, high = changes(content, "scalr")["interval"]
    assert low < changes(content, "scalr")["relative_change"] < high


def test_conventional_methods_are_arms_that_choose_on_the_validation_period():
    """Trained by hand with what the validation fold chose, a method gives the study's figures."""
    pair = simulate(n_users=200, seed=1).pair
    steps = Steps.parse(
        {
            "train": {"max_epochs": 3, "popularity_prior": 0.5},
            "study": {"seeds": 2, "arms": RIVALS, "baseline_trials": 0, "rival_trials": 2},
        }
    )
    content = study(pair, steps).to_json()
    assert tuple(content["arms"]) == ("real_only", *RIVALS)
    assert {row["baseline"] for row in content["comparisons"]} == {"real_only"}
    for arm in RIVALS:
        for seed in (0, 1):
            folds = split(pair, steps.split, seed)
            strength = content["rivals"][arm]["chosen"][seed]
            chosen = train_rival(arm, folds.validation, steps.train, seed, strength=strength)
            model = train_rival(arm, folds.test, steps.train, seed, strength=strength, epochs=chosen.epochs).model
            found = evaluate(model, folds.test, steps.evaluate, seed).segments["all"]["normalized_entropy"]
            assert content["arms"][arm]["normalized_entropy"]["per_seed"][seed] == found
            assert content["epochs"][arm][seed] == chosen.epochs
        tried, search = content["rivals"][arm]["tried"], content["choice"]["searches"][arm]
        assert len(tried) == 2
        assert search["chosen"] in tried
        assert content["rivals"][arm]["chosen"] == [search["chosen"]] * 2
        losses = {str(trial["changes"]): np.mean(trial["loss"]) for trial in search["rounds"]["strength"]}
        assert losses[str(search["chosen"])] <= min(losses.values()) * (1 + EQUAL)


class CountingBoard:
    """Remembers stages and what they counted."""

    def __init__(self):
        self.stages = []

    def stage(self, name, total=None, unit="events"):
        counted = {"name": name, "total": total, "done": 0}
        self.stages.append(counted)

        def advance(done):
            counted["done"] += done

        return advance

    def note(self, text):
        pass


def test_progress_counts_every_fit_of_both_folds():
    board = CountingBoard()
    steps = Steps.parse({"train": {"max_epochs": 1}, "study": {"seeds": 1, "arms": ["scalr"], "baseline_trials": 0}})
    study(simulate(n_users=200, seed=1).pair, steps, board=board)
    assert [stage["name"] for stage in board.stages] == ["choosing settings", "training and judging"]
    assert board.stages[1]["total"] == board.stages[1]["done"] == 4


def test_repeated_real_events_fade_as_real_events_do():
    pair = simulate(n_users=200, seed=1).pair
    fold = split(pair, STEPS.split, 0).validation
    steps = STEPS.changed({"train.half_life": 0.1})
    _, extra = Synthesis(fold, 0).arm("oversampled_real", steps)
    expected = float(synthetic_weights(Synthesis(fold, 0).scalr(steps), fold.pair.target, steps.train).sum())
    assert float(extra.weight.sum(dtype=float)) == pytest.approx(expected, rel=1e-4)
    assert extra.weight.max() > 5 * extra.weight.min() > 0
