"""Races of candidate settings over seeds (successive halving), and a journal of every trial."""

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
SURVIVORS = 3  # one in so many candidates goes on to the next seed


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one trial with one seed.

    Attributes:
        loss: Normalized entropy on the judged pairs of the users that choose; lower is better, infinite if training
            diverged.
        ndcg: NDCG of their lists; None if training diverged or ranking takes too long.
        epochs: Epochs of training.
        seconds: Wall seconds.
    """

    loss: float
    ndcg: float | None
    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of a race.

    Attributes:
        changes: Changes to the settings that the race started from; empty for these settings.
        outcomes: One per seed that it was tried with, in order; candidates that lost early have fewer.
    """

    changes: Changes
    outcomes: tuple[Outcome, ...]

    @property
    def loss(self) -> float:
        """Return the mean loss over its seeds."""
        return float(np.mean([outcome.loss for outcome in self.outcomes]))

    @property
    def ndcg(self) -> float | None:
        """Return the mean NDCG over its seeds; None if a seed lacks it."""
        values = [outcome.ndcg for outcome in self.outcomes if outcome.ndcg is not None]
        return float(np.mean(values)) if len(values) == len(self.outcomes) else None

    def to_json(self) -> dict[str, Any]:
        """Return the trial for `study.json`."""
        return {
            "changes": dict(self.changes),
            "loss": [_finite(outcome.loss) for outcome in self.outcomes],
            "ndcg": [outcome.ndcg for outcome in self.outcomes],
            "epochs": [outcome.epochs for outcome in self.outcomes],
        }


class Journal:
    """Outcomes by key; a file of JSON lines stores them beyond the run, so that an interrupted run can resume.

    Args:
        file: File to read and append outcomes; None to cache them for this run only.

    Raises:
        SchemaError: If the file has other content.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file, self._outcomes = file, {} if file is None else _read(file)
        self._lock = threading.Lock()

    def outcome(self, key: Mapping[str, Any], run: Callable[[], tuple[float, float | None, int]]) -> Outcome:
        """Return the stored outcome of a key, or run and store.

        Args:
            key: Everything that the outcome depends on, as plain values.
            run: Returns loss, NDCG and epochs.
        """
        text = json.dumps(key, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        with self._lock:
            if digest in self._outcomes:
                return self._outcomes[digest]
        started = time.perf_counter()
        loss, ndcg, epochs = run()
        outcome = Outcome(loss, ndcg, epochs, time.perf_counter() - started)
        with self._lock:
            self._outcomes[digest] = outcome
            if self._file is not None:
                _append(self._file, digest, outcome)
        return outcome


def _read(file: Path) -> dict[str, Outcome]:
    if not file.exists():
        return {}
    if not file.is_file():
        raise OutputError(
            f"the trials file '{file}' cannot be used: it is not a regular file",
            expected="a file that an earlier study wrote, or a name that does not exist yet",
            fix="use another file with --trials-file",
        )
    outcomes = {}
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            loss = math.inf if row["loss"] is None else float(row["loss"])
            ndcg = None if row["ndcg"] is None else float(row["ndcg"])
            if math.isnan(loss) or not math.isfinite(ndcg or 0.0):
                raise ValueError(line)
            outcomes[str(row["key"])] = Outcome(loss, ndcg, int(row["epochs"]), float(row["seconds"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            if number == len(lines) and not line.endswith("\n"):  # the run was interrupted while it wrote this line
                break
            raise SchemaError(
                f"line {number} of '{file}' is not a trial",
                expected="a file of trials that an earlier study wrote",
                fix="use another file, or a name that does not exist yet",
            ) from error
    return outcomes


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
            stream.seek(written.rfind(b"\n") + 1)  # overwrites an incomplete line
            stream.truncate()
            stream.write(json.dumps(row).encode() + b"\n")
    except OSError as error:
        raise OutputError(
            f"the trials cannot be written to '{file}': {error.strerror}",
            expected="a writable file",
            fix="use another file with --trials-file",
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
    """Try candidates with one seed after another; after each seed the best go on (successive halving).

    Args:
        candidates: Changes to try; the first wins ties.
        seeds: Number of seeds.
        examine: Returns the outcome of a candidate with the seed at a position.
        threads: Trials at a time; the result does not depend on it.
        survivors: One in so many goes on, at least two; with 1 all do.

    Returns:
        All trials, best first: by number of seeds, then by mean loss, then by position.

    References:
        Jamieson, Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization.
    """
    outcomes: list[list[Outcome]] = [[] for _ in candidates]
    remaining = list(range(len(candidates)))

    def standing(place: int) -> tuple[float, float, int]:
        return -len(outcomes[place]), float(np.mean([outcome.loss for outcome in outcomes[place]])), place

    with ThreadPoolExecutor(threads) as pool:
        for seed in range(seeds):
            for place, outcome in zip(
                remaining,
                pool.map(lambda place, seed=seed: examine(candidates[place], seed), remaining),
                strict=True,
            ):
                outcomes[place].append(outcome)
            n_survivors = max(-(-len(remaining) // survivors), min(2, len(remaining)))
            remaining = sorted(remaining, key=standing)[:n_survivors]
    ranked = sorted(range(len(candidates)), key=standing)
    return [Trial(candidates[place], tuple(outcomes[place])) for place in ranked]


def best_of(trials: Iterable[Trial], tolerance: float) -> Trial:
    """Return the trial that ranks best among those whose loss is within a tolerance of the lowest.

    Differences in loss within the tolerance are noise, differences in NDCG may not be, so ranking decides between
    equals. The loss alone decides if the best trial has no NDCG.

    Args:
        trials: At least one, all of them tried with the same seeds; the first wins ties.
        tolerance: Share of the lowest loss.
    """
    ranked = sorted(trials, key=lambda trial: trial.loss)
    limit = ranked[0].loss * (1 + tolerance)
    near = [trial for trial in ranked if trial.loss <= limit and trial.ndcg is not None]
    return max(near, key=lambda trial: trial.ndcg or 0.0) if ranked[0].ndcg is not None else ranked[0]
