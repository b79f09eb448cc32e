"""The gate of studies of impressions: who chooses never judges, closed segments are real-only, null worlds close it."""

from dataclasses import replace

import numpy as np
import pytest
from tests.studies.test_impressions import QUICK, impression_world

from scalr.evaluation.folds import SEGMENTS, impression_folds
from scalr.evaluation.judging import Judgement, judge
from scalr.foundation.checkpoints import Checkpoints
from scalr.foundation.config import Steps
from scalr.foundation.errors import SchemaError
from scalr.foundation.progress import SilentBoard
from scalr.studies.choosing.masses import ImpressionChoice, MassTrial
from scalr.studies.findings.impressions import impression_finding
from scalr.studies.gate import Opening, half_of, open_segments
from scalr.studies.impression_rows import FoldRows
from scalr.studies.impressions import FittedImpressions, ImpressionLosses, ImpressionTask, conversion_study
from scalr.studies.loop import run_study

pytest.importorskip("sklearn", reason="the model is scikit-learn's logistic regression")

FAST = {
    **QUICK,
    "study": {"seeds": 1, "choosing_seeds": 1, "gate": True},
    "conversions": {"masses": [1.0], "penalties": [3.0], "most_events": 2000, "arms": ["scalr"]},
}


@pytest.fixture(scope="module")
def fold():
    return impression_folds(impression_world(impressions=4000)[0], Steps().split)[0]


def opening(segment: str, *, is_open: bool) -> Opening:
    return Opening(segment, is_open, 10, -0.1, 0.01, 0.01)


def test_the_halves_share_no_user_and_lose_no_impression(fold) -> None:
    chooses, judges = half_of(fold), half_of(fold, judge=True)
    assert not set(chooses.user.tolist()) & set(judges.user.tolist())
    assert len(chooses.user) + len(judges.user) == len(fold.user)
    assert 0.3 < len(np.unique(chooses.user)) / len(np.unique(fold.user)) < 0.7
    np.testing.assert_array_equal(chooses.label.sum() + judges.label.sum(), fold.label.sum())


def test_a_half_of_one_label_is_refused(fold) -> None:
    with pytest.raises(SchemaError, match="the half of users that choose") as error:
        half_of(replace(fold, label=np.zeros_like(fold.label)))
    assert "--no-gate" in error.value.fix


def test_closed_segments_are_served_by_real_events_alone(fold) -> None:
    task = ImpressionTask(fold.fold.pair, Steps.parse(FAST), threads=1)
    rows = FoldRows(fold, Steps.parse(FAST), 0, task.columns)
    ours, real = (
        FittedImpressions(fold.label, {"raw": np.full(len(fold.user), value)}, 5, 0.5) for value in (0.7, 0.2)
    )
    served = task.serve(ours, real, rows, (opening("warm", is_open=True), opening("cold", is_open=False)))
    np.testing.assert_array_equal(served.probabilities["raw"] == 0.7, fold.is_warm)
    assert served.ungated is ours
    both = tuple(opening(segment, is_open=False) for segment in ("warm", "cold"))
    np.testing.assert_array_equal(task.serve(ours, real, rows, both).probabilities["raw"], real.probabilities["raw"])


def test_a_segment_opens_where_it_beats_both_and_counts_its_own_users_once(fold) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.01, len(fold.user))
    good = np.where(fold.label == 1, 0.3, 0.01)
    poor = np.clip(np.where(fold.label == 1, 0.05, 0.05) + noise, 0.01, 0.2)
    stated = {"scalr": np.where(fold.is_warm, good, poor), "real_only": poor, "shuffled_users": poor}
    judged = {arm: [ImpressionLosses(judge(fold, one), fold)] * 2 for arm, one in stated.items()}
    warm, cold = open_segments(judged)
    assert (warm.is_open, cold.is_open) == (True, False)
    assert warm.users == len(np.unique(fold.user[fold.is_warm]))
    assert cold.users == len(np.unique(fold.user[~fold.is_warm]))
    ours, real = (judge(fold, stated[arm]).loss["warm"].sum() for arm in ("scalr", "real_only"))
    assert warm.change == pytest.approx(ours / real - 1)
    equal = {**judged, "shuffled_users": judged["scalr"]}
    assert not any(one.is_open for one in open_segments(equal))


def test_losses_are_means_over_the_seeds_that_have_the_user_in_the_segment(fold) -> None:
    half = replace(fold, is_warm=np.ones(len(fold.user), np.bool_))
    none = replace(fold, is_warm=np.zeros(len(fold.user), np.bool_))

    def losses(warm: float, cold: float) -> list[ImpressionLosses]:
        users = np.unique(fold.user)
        random = np.random.default_rng(int(10 * warm))
        own = {"warm": random.normal(warm, 0.1, len(users)), "cold": random.normal(cold, 0.1, len(users))}
        return [ImpressionLosses(Judgement({}, users.astype(np.int32), own), seen) for seen in (half, none)]

    judged = {"scalr": losses(1.0, 3.0), "real_only": losses(2.0, 3.0), "shuffled_users": losses(1.5, 2.0)}
    warm, cold = open_segments(judged)  # everybody is warm with one seed and cold with the other
    assert warm.change == pytest.approx(-0.5, abs=0.02)
    assert cold.change == pytest.approx(0.0, abs=0.02)
    assert (warm.is_open, cold.is_open) == (True, False)


def test_the_gate_judges_each_arm_with_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real impressions alone have their own penalty; shuffled users have mass and penalty of `scalr`."""
    used = []
    fit = FoldRows.fit

    def spy(rows: FoldRows, arm: str, mass: float, l2: float):
        used.append((arm, mass, l2))
        return fit(rows, arm, mass, l2)

    monkeypatch.setattr(FoldRows, "fit", spy)
    steps = Steps.parse(FAST)
    task = ImpressionTask(impression_world(impressions=4000)[0], steps, threads=2)
    trials = {"real_only": (0.0, 7.0), "scalr": (0.3, 2.0), "shuffled_users": (1.0, 5.0)}
    choice = ImpressionChoice(steps, {}, {arm: (MassTrial(*setting, 0.1),) for arm, setting in trials.items()})
    assert len(task.gate(choice, lambda done: None).openings) == 2
    assert sorted(used) == [("real_only", 0.0, 7.0), ("scalr", 0.3, 2.0), ("shuffled_users", 0.3, 2.0)]


def test_a_study_whose_gate_is_closed_gives_real_events_alone_bit_for_bit() -> None:
    study = conversion_study(impression_world(relatedness=0.0)[0], Steps.parse(FAST), threads=2)
    assert [one.is_open for one in study.gate] == [False, False]
    content = study.to_json()
    for method in ("raw", "analytic", "isotonic"):
        ours, real = (study.results[arm][0].probabilities[method] for arm in ("scalr", "real_only"))
        np.testing.assert_array_equal(ours, real)
        assert not np.array_equal(study.ungated[0].probabilities[method], real)
    assert content["segments"]["scalr"] == content["segments"]["real_only"]
    without = [one for one in content["without_gate"] if one["metric"] == "normalized_entropy"]
    assert {one["segment"] for one in without} == set(SEGMENTS)
    assert all(one["relative_change"] != 0 for one in without)
    found = impression_finding(content)
    assert found.tone == "no_gain"
    assert "gate is closed for all users" in found.sentences[0]
    assert found.sentences[1].startswith("Without the gate, on the test period: normalized entropy")


def test_without_a_gate_nothing_is_as_if_there_was_one() -> None:
    pair = impression_world(impressions=4000)[0]
    off = {**FAST, "study": {"seeds": 1, "choosing_seeds": 1, "gate": False}}
    unasked = {**FAST, "study": {"seeds": 1, "choosing_seeds": 1}}  # the translator is not `auto`
    one, other = (conversion_study(pair, Steps.parse(given)) for given in (off, unasked))
    assert one.gate == other.gate == ()
    assert one.to_json()["segments"] == other.to_json()["segments"]
    assert one.to_json()["without_gate"] is None


def test_a_finished_seed_of_a_gated_study_is_restored_bit_for_bit(tmp_path) -> None:
    pair, steps, board = impression_world(impressions=4000)[0], Steps.parse(FAST), SilentBoard()
    done, again = (
        run_study(ImpressionTask(pair, steps, threads=2), threads=2, board=board, pieces=Checkpoints(tmp_path))
        for _ in range(2)
    )
    one, other = done.of("scalr")[0], again.of("scalr")[0]
    assert (one.synthetic_rows, one.item_coverage, one.shift) == (
        other.synthetic_rows,
        other.item_coverage,
        other.shift,
    )
    for ours, restored in ((one, other), (one.ungated, other.ungated)):
        for method, judgement in ours.judgements.items():
            assert judgement.segments == restored.judgements[method].segments
            np.testing.assert_array_equal(judgement.loss["all"], restored.judgements[method].loss["all"])
            np.testing.assert_array_equal(ours.probabilities[method], restored.probabilities[method])


@pytest.mark.slow
def test_in_null_worlds_a_segment_opens_no_more_often_than_promised() -> None:
    """40 gates of 20 null worlds, 5 % each at most: more than 6 open ones have a chance below 0.7 %."""
    openings = []
    for seed in range(20):
        steps = Steps.parse({**FAST, "seed": seed})
        openings += conversion_study(impression_world(0.0, seed, impressions=8000)[0], steps, threads=2).gate
    assert len(openings) == 40
    assert sum(one.is_open for one in openings) <= 6


@pytest.mark.slow
def test_where_tastes_are_shared_the_gate_opens() -> None:
    """Enough impressions to see it: a gate that never opens would pass every other test."""
    pair = impression_world(impressions=40_000)[0]
    study = conversion_study(pair, Steps.parse(FAST), threads=2)
    assert any(one.is_open for one in study.gate)
    content = study.to_json()
    change = next(one for one in content["comparisons"] if one["arm"] == "scalr")
    assert change["relative_change"] < 0
    assert "gate is open" in " ".join(impression_finding(content).sentences)
