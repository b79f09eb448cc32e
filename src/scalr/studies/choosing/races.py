"""Try settings on validation periods: races over seeds, every trial remembered, in memory and in a file if wanted."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalr.foundation import OutputError, SchemaError

Changes = Mapping[str, Any]
"""Settings by dotted name, such as {"sample.draws_per_event": 8}."""
SURVIVORS = 3  # one of so many candidates goes on to the next seed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one trial gave with one seed.

    Attributes:
        loss: Normalized entropy on the judged pairs of the users that choose; lower is better, infinite where training
            diverged.
        ndcg: NDCG of their lists; None where training diverged, or ranking takes too long to choose by.
        epochs: Passes behind it.
        seconds: Wall seconds it took.
    """

    loss: float
    ndcg: float | None
    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of a race.

    Attributes:
        changes: What it changes in the settings that the race began with; empty for those themselves.
        outcomes: One per seed that it was tried with, in their order; those who lag behind see fewer.
    """

    changes: Changes
    outcomes: tuple[Outcome, ...]

    @property
    def loss(self) -> float:
        """Return the mean loss over its seeds."""
        return float(np.mean([outcome.loss for outcome in self.outcomes]))

    @property
    def ndcg(self) -> float | None:
        """Return the mean NDCG over its seeds; None where one has none."""
        known = [outcome.ndcg for outcome in self.outcomes if outcome.ndcg is not None]
        return float(np.mean(known)) if len(known) == len(self.outcomes) else None

    def to_json(self) -> dict[str, Any]:
        """Return the trial for `study.json`."""
        return {
            "changes": dict(self.changes),
            "loss": [_finite(outcome.loss) for outcome in self.outcomes],
            "ndcg": [outcome.ndcg for outcome in self.outcomes],
            "epochs": [outcome.epochs for outcome in self.outcomes],
        }


class Journal:
    """Outcomes by key; a file of JSON lines keeps them beyond the run, so that one that was cut off goes on.

    Args:
        file: Where to read and append outcomes; None to remember them for this run only.

    Raises:
        SchemaError: If the file holds something else.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._known = file, {} if file is None else _read(file)
        self._lock = threading.Lock()

    def outcome(self, key: Mapping[str, Any], run: Callable[[], tuple[float, float | None, int]]) -> Outcome:
        """Return what is known under a key, or run, and remember.

        Args:
            key: All that the outcome depends on, as plain values.
            run: Returns loss, NDCG and passes.
        """
        text = json.dumps(key, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        with self._lock:
            if digest in self._known:
                return self._known[digest]
        began = time.perf_counter()
        loss, ndcg, epochs = run()
        outcome = Outcome(loss, ndcg, epochs, time.perf_counter() - began)
        with self._lock:
            self._known[digest] = outcome
            if self._file is not None:
                _append(self._file, digest, outcome)
        return outcome


def _read(file: Path) -> dict[str, Outcome]:
    if not file.exists():
        return {}
    if not file.is_file():
        raise OutputError(
            f"the trials file '{file}' cannot be used: it is no plain file",
            expected="a file that an earlier study wrote, or a name that does not exist yet",
            fix="give another file with --trials-file",
        )
    known = {}
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            loss = math.inf if row["loss"] is None else float(row["loss"])
            ndcg = None if row["ndcg"] is None else float(row["ndcg"])
            if math.isnan(loss) or not math.isfinite(ndcg or 0.0):
                raise ValueError(line)
            known[str(row["key"])] = Outcome(loss, ndcg, int(row["epochs"]), float(row["seconds"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            if number == len(lines) and not line.endswith("\n"):  # the run was cut off while it wrote this one
                break
            raise SchemaError(
                f"line {number} of '{file}' is not a trial",
                expected="a file of trials that an earlier study wrote",
                fix="give another file, or a name that does not exist yet",
            ) from error
    return known


def _append(file: Path, digest: str, outcome: Outcome) -> None:
    row = {
        "key": digest,
        "loss": _finite(outcome.loss),
        "ndcg": outcome.ndcg,
        "epochs": outcome.epochs,
        "seconds": round(outcome.seconds, 3),
    }
    try:
        written = file.read_bytes() if file.exists() else b""
        with file.open("r+b" if written else "wb") as stream:
            stream.seek(written.rfind(b"\n") + 1)  # over a line that was cut off
            stream.truncate()
            stream.write(json.dumps(row).encode() + b"\n")
    except OSError as error:
        raise OutputError(
            f"the trials cannot be written to '{file}': {error.strerror}",
            expected="a file that can be written",
            fix="give another file with --trials-file",
        ) from error


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def race(
    candidates: Sequence[Changes],
    seeds: int,
    examine: Callable[[Changes, int], Outcome],
    threads: int,
    survivors: int = SURVIVORS,
) -> list[Trial]:
    """Try candidates with one seed after another; after each the best go on (successive halving).

    Args:
        candidates: What to try; the first wins ties.
        seeds: Seeds to try with.
        examine: Returns the outcome of a candidate with the seed of that number.
        threads: Trials at a time; the result does not depend on it.
        survivors: One of so many goes on, two at least; with 1 all do.

    Returns:
        All trials, best first: those tried with most seeds, then by mean loss, then in their order.

    References:
        Jamieson, Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization.
    """
    outcomes: list[list[Outcome]] = [[] for _ in candidates]
    alive = list(range(len(candidates)))

    def standing(place: int) -> tuple[float, float, int]:
        return -len(outcomes[place]), float(np.mean([one.loss for one in outcomes[place]])), place

    with ThreadPoolExecutor(threads) as pool:
        for seed in range(seeds):
            for place, outcome in zip(
                alive, pool.map(lambda place, seed=seed: examine(candidates[place], seed), alive), strict=True
            ):
                outcomes[place].append(outcome)
            alive = sorted(alive, key=standing)[: max(-(-len(alive) // survivors), min(2, len(alive)))]
    ranked = sorted(range(len(candidates)), key=standing)
    return [Trial(candidates[place], tuple(outcomes[place])) for place in ranked]


def best_of(trials: Iterable[Trial], tolerance: float) -> Trial:
    """Return the trial that ranks best of those whose loss is the lowest one but for a tolerance.

    Differences in loss within the tolerance say nothing, those in NDCG may; so ranking decides between equals. Where
    ranking is not known the loss decides alone.

    Args:
        trials: At least one, all of them tried with the same seeds; the first wins ties.
        tolerance: Share of the lowest loss.
    """
    ranked = sorted(trials, key=lambda trial: trial.loss)
    near = [one for one in ranked if one.loss <= ranked[0].loss * (1 + tolerance) and one.ndcg is not None]
    return max(near, key=lambda trial: trial.ndcg or 0.0) if ranked[0].ndcg is not None else ranked[0]
