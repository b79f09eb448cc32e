"""The loop of every study, with a task of plain numbers: order, gate, threads, resuming, failures."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest

from scalr.foundation.checkpoints import Checkpoints
from scalr.foundation.progress import SilentBoard
from scalr.studies.gate import Opening
from scalr.studies.loop import run_study


@dataclass(frozen=True)
class Choice:
    openings: tuple = ()


@dataclass(frozen=True)
class Result:
    value: str
    array: np.ndarray


class Task:
    """Fits are texts that record what was done; every call is noted."""

    arms = ("real_only", "scalr", "top1")
    seeds = (3, 4)
    choosing_stage = ("choosing", None, "trials")

    def __init__(self, *, is_gated=False, fails=None):
        self.calls, self._lock = [], threading.Lock()
        self._is_gated, self._fails = is_gated, fails

    def note(self, *call):
        with self._lock:
            self.calls.append(call)

    def choose(self, advance):
        self.note("choose")
        return Choice()

    def gate(self, choice, advance):
        self.note("gate")
        return replace(choice, openings=(Opening("warm", True, 5, -0.1, 0.01, 0.01),)) if self._is_gated else choice

    def folds(self, choice, seed):
        self.note("folds", seed)
        return f"validation {seed}", f"test {seed}"

    def fit(self, choice, arm, fold, earlier):
        if arm == self._fails:
            raise ValueError(f"{arm} fails")
        self.note("fit", arm, fold)
        return f"{earlier or arm} on {fold}"

    def serve(self, augmented, real_only, fold, openings):
        return f"{augmented} or {real_only}"

    def judge(self, choice, arm, fitted, fold):
        self.note("judge", arm, fold)
        return Result(fitted, np.array([len(fitted) / 7]))

    def references(self, choice, fold):
        return {"popularity": Result(f"popularity on {fold}", np.zeros(1))}

    def example(self, choice, folds):
        return folds

    def restored(self, values):
        return Result(**values)


class CountingBoard(SilentBoard):
    def __init__(self):
        self.stages = []

    def stage(self, name, total=None, unit="events"):
        stage = {"name": name, "total": total, "unit": unit, "done": 0}
        self.stages.append(stage)

        def advance(done):
            stage["done"] += done

        return advance


def values(done):
    return [{arm: result.value for arm, result in seed.arms.items()} for seed in done.seeds]


@pytest.mark.parametrize("threads", [1, 4])
def test_every_arm_is_trained_on_both_folds_and_judged_once(threads):
    task, board = Task(), CountingBoard()
    done = run_study(task, threads=threads, board=board)
    assert task.calls[:2] == [("choose",), ("gate",)]
    assert values(done) == [
        {arm: f"{arm} on validation {seed} on test {seed}" for arm in task.arms} for seed in task.seeds
    ]
    assert [seed.references["popularity"].value for seed in done.seeds] == [
        "popularity on test 3",
        "popularity on test 4",
    ]
    assert done.example == ("validation 3", "test 3")
    assert [result.value for result in done.of("top1")] == [each["top1"] for each in values(done)]
    assert sorted(task.calls[2:]) == sorted(
        call
        for seed in task.seeds
        for call in (
            ("folds", seed),
            *(("fit", arm, f"{fold} {seed}") for arm in task.arms for fold in ("validation", "test")),
            *(("judge", arm, f"test {seed}") for arm in task.arms),
        )
    )
    assert board.stages == [
        {"name": "choosing", "total": None, "unit": "trials", "done": 0},
        {"name": "training and judging", "total": 12, "unit": "fits", "done": 12},
    ]


@pytest.mark.parametrize("threads", [1, 4])
def test_behind_a_gate_scalr_is_served_with_real_events_alone_and_no_other_arm_is(threads):
    first = values(run_study(Task(is_gated=True), threads=threads, board=SilentBoard()))[0]
    assert first["scalr"] == "scalr on validation 3 on test 3 or real_only on validation 3 on test 3"
    assert first["top1"] == "top1 on validation 3 on test 3"


def test_finished_seeds_are_not_trained_again(tmp_path):
    pieces, whole = (
        Checkpoints(tmp_path),
        run_study(Task(), threads=1, board=SilentBoard(), pieces=Checkpoints(tmp_path)),
    )
    (tmp_path / "seed-4.npz").unlink()
    task, board = Task(), CountingBoard()
    resumed = run_study(task, threads=2, board=board, pieces=pieces)
    assert values(resumed) == values(whole)
    for one, other in zip(resumed.seeds, whole.seeds, strict=True):
        assert list(one.arms) == list(other.arms)
        np.testing.assert_array_equal(one.arms["scalr"].array, other.arms["scalr"].array)
        assert one.references["popularity"].value == other.references["popularity"].value
    assert {call[-1] for call in task.calls if call[0] == "fit"} == {"validation 4", "test 4"}
    assert resumed.example == whole.example
    assert board.stages[1]["done"] == board.stages[1]["total"] == 12


@pytest.mark.parametrize("fails", ["real_only", "scalr"])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_failure_ends_the_study_and_leaves_no_arm_waiting(fails, threads):
    with pytest.raises(ValueError, match=f"{fails} fails"):
        run_study(Task(is_gated=True, fails=fails), threads=threads, board=SilentBoard())
