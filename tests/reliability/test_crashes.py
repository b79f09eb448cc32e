"""Killed at any moment, `--resume` makes what an undisturbed run makes; without it nothing is mixed."""

import itertools
import json
import random
import signal

import pytest
from tests.reliability.jobs import FIGURE, Job, contents, is_whole

from scalr.runs.resuming import partial_folder

pytestmark = pytest.mark.trust

LONGEST_CHAIN = 5  # kills of one output before it may come to its end


def test_killed_at_random_moments_it_comes_to_the_same_end(jobs, runner, tmp_path, request, record_property):
    """Half of the kills come at a random time, half just before a random file operation, where they hurt most."""
    wanted, chance = request.config.getoption("--kills"), random.Random(7)
    names = list(jobs) if wanted >= 30 else ["run"]
    undisturbed, expected = {}, {}
    for name in names:
        runner.run(jobs[name], tmp_path / f"warm {name}")  # loads compiled loops from their files
        undisturbed[name] = runner.run(jobs[name], tmp_path / name)
        assert undisturbed[name].status == 0, undisturbed[name].said
        expected[name] = contents(tmp_path / name)
    n_kills, n_chains, n_parts, n_refused, moments = 0, 0, 0, 0, {"at a time": 0, "at a file operation": 0}
    for name in itertools.cycle(names):
        whole, out = undisturbed[name], tmp_path / f"chain {n_chains}"
        for links in itertools.count():
            moment, how = "at a time", {"after": chance.uniform(0, 0.7 * whole.seconds)}
            if n_kills % 2:
                moment, how = "at a file operation", {"die_at": chance.randint(1, int(0.7 * whole.operations))}
            is_to_die = n_kills < wanted and links < LONGEST_CHAIN
            ended = runner.run(jobs[name], out, "--resume", **(how if is_to_die else {}))
            if ended.status == 0:
                break
            assert ended.status == -signal.SIGKILL, ended.said
            n_kills, moments[moment] = n_kills + 1, moments[moment] + 1
            assert not out.exists() or is_whole(out)
            n_parts += any((partial_folder(out) / "pieces").glob("part-*.npz"))
            if (partial_folder(out) / "state.json").exists() and not out.exists() and n_kills % 5 == 1:
                refused = runner.run(jobs[name], out)
                assert (refused.status, refused.said.count("\n")) == (2, 3), refused.said
                assert f"half-finished run of 'scalr {name.split(',')[0]}'" in refused.said
                assert "--resume" in refused.said
                n_refused += 1
        assert contents(out) == expected[name], name
        assert not partial_folder(out).exists()
        n_chains += 1
        if n_kills >= wanted:
            break
    assert n_refused
    record_property(FIGURE, ("kills survived", f"{n_kills}: {', '.join(f'{n} {w}' for w, n in moments.items())}"))
    record_property(FIGURE, ("  outputs finished, all equal", f"{n_chains}, jobs: {'; '.join(names)}"))
    record_property(FIGURE, ("  kills that left finished parts", f"{n_parts}"))
    record_property(FIGURE, ("  half-finished folders named and refused", f"{n_refused}"))


def test_a_killed_study_leaves_nothing_and_keeps_its_trials(jobs, runner, tmp_path, request, record_property):
    """Killed before a file operation, then before a later one, until it comes to its end; every other kill tears the
    last trial's line as well. No trial that was kept is made twice: each stands in the file once."""
    step = 1 if request.config.getoption("--kills") >= 30 else 4
    study = ("study", *jobs["generate"].arguments[1:5], "--arms", "scalr", "--seeds", "1", "--baseline-trials", "4")
    trials, whole_trials, out = tmp_path / "trials.jsonl", tmp_path / "whole.jsonl", tmp_path / "out"

    def run(out, trials, **how):
        job = Job("study", (*study, "--translator", "cooccurrence", "--trials-file", str(trials)))
        return runner.run(job, out, **how)

    whole = run(tmp_path / "whole", whole_trials)
    assert whole.status == 0, whole.said
    n_kept, n_torn = 0, 0
    for n_kills, moment in enumerate(itertools.count(1, step)):
        ended = run(out, trials, die_at=moment)
        kept = trials.read_bytes() if trials.exists() else b""
        assert kept.count(b"\n") >= n_kept
        n_kept = kept.count(b"\n")
        if out.exists():
            break
        assert ended.status == -signal.SIGKILL, ended.said
        if kept and n_kills % 2 == 0:
            trials.write_bytes(kept[:-15])
            n_kept, n_torn = n_kept - 1, n_torn + 1
    assert n_torn
    assert is_whole(out)
    assert contents(out) == contents(tmp_path / "whole")
    keys, expected = (
        [json.loads(line)["key"] for line in file.read_text().splitlines()] for file in (trials, whole_trials)
    )
    assert sorted(keys) == sorted(expected)
    assert len(set(keys)) == len(keys)
    what = f"{n_kills}, {n_torn} lines torn; all {len(keys)} trials made once, the study equal"
    record_property(FIGURE, ("kills of a study with --trials-file", what))
