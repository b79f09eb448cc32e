"""Killed at any moment, `--resume` makes what an undisturbed run makes; without it nothing is mixed."""

import itertools
import random
import signal
import time

import pytest
from tests.reliability.jobs import FIGURE, contents, is_whole, ran, started

from scalr.cli import main
from scalr.unfinished import partial_folder

pytestmark = pytest.mark.trust


def killed(process, seconds: float | None) -> bool:
    """Kill a process after so long (None: it does so itself); say whether that cut it off."""
    if seconds is not None:
        time.sleep(seconds)
        process.kill()
    _, errors = process.communicate(timeout=600)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


def test_killed_at_random_moments_it_comes_to_the_same_end(jobs, tmp_path, request, record_property, capsys):
    """Half of the kills come at a random time, half just before a random file operation, where they hurt most."""
    wanted, chance = request.config.getoption("--kills"), random.Random(7)
    names = list(jobs) if wanted >= 30 else ["run"]
    undisturbed = {name: (ran(jobs[name], tmp_path / name), contents(tmp_path / name)) for name in names}
    kills = {"at a time": 0, "at a file operation": 0}
    chains = refused = resumed_from_parts = 0
    for name in itertools.cycle(names):
        (seconds, operations), expected = undisturbed[name]
        out = tmp_path / f"chain {chains}"
        while True:
            is_by_time = sum(kills.values()) % 2 == 0
            # A third of the way at most, so that a chain of kills ends in different places.
            after = chance.uniform(0, seconds / 3) if is_by_time else None
            die_at = 0 if is_by_time else chance.randint(1, max(2, operations // 3))
            if sum(kills.values()) >= wanted:
                after, die_at = None, 0
            if not killed(started(jobs[name], out, "--resume", die_at=die_at), after):
                break
            kills["at a time" if is_by_time else "at a file operation"] += 1
            assert not out.exists() or is_whole(out)
            pieces = list((partial_folder(out) / "pieces").glob("part-*.npz"))
            resumed_from_parts += bool(pieces)
            if (partial_folder(out) / "state.json").exists() and not refused % 10:
                capsys.readouterr()
                assert main([*jobs[name].arguments, "--out", str(out), "--quiet"]) == 2
                said = capsys.readouterr().err
                assert said.count("\n") == 3
                assert "half-finished" in said or "not empty" in said
                assert "--resume" in said or "not empty" in said
            refused += 1
        assert contents(out) == expected, name
        assert not partial_folder(out).exists()
        chains += 1
        if sum(kills.values()) >= wanted:
            break
    assert sum(kills.values()) >= wanted
    record_property(
        FIGURE, ("kills survived", f"{sum(kills.values())} ({', '.join(f'{n} {w}' for w, n in kills.items())})")
    )
    record_property(FIGURE, ("  outputs finished after kills, all equal", f"{chains}"))
    record_property(FIGURE, ("  kills after which parts were there", f"{resumed_from_parts}"))
