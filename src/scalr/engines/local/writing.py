"""Write the synthetic events of stored logs into a folder, part by part: fit, decide, write.

The twin for Spark is `scalr.engines.spark.drawing.writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from scalr.engines.local.part_files import PartFiles
from scalr.engines.local.passes import LocalPasses
from scalr.foundation import Board, Checkpoints, ConfigError, Floats, Receipt, SilentBoard, Steps, Stopwatch
from scalr.logs import StoredPair
from scalr.synthesis import (
    Count,
    EventFacts,
    Gathering,
    Masses,
    NegativeLaw,
    Part,
    Rows,
    StageClock,
    Stream,
    TableBuilder,
    fit,
    generation_name,
    item_shares,
    negative_law,
    no_rows,
    refining_stages,
    refuse_unprotected,
    resting_on_few,
    with_negatives,
    write_dictionaries,
)


@dataclass(frozen=True, slots=True, eq=False)
class LocalOutput:
    """Synthetic events that were written, and how they came about.

    Attributes:
        facts: The events in numbers, without negative rows.
        generation_id: 16 hexadecimal digits; equal for equal logs, settings and seed.
        receipts: One per stage, from fitting on.
        digests: SHA-256 of the part files.
        privacy: Who is behind the events; see `scalr.synthesis.facts.resting_on_few`.
        negatives: Number of negative rows beside the events.
    """

    facts: EventFacts
    generation_id: str
    receipts: tuple[Receipt, ...]
    digests: Mapping[Path, str]
    privacy: Mapping[str, Any]
    negatives: int = 0


def write_events(
    pair: StoredPair,
    steps: Steps,
    folder: Path,
    *,
    layout: str = "target",
    threads: int = 1,
    compared_rows: int | None = None,
    board: Board | None = None,
    pieces: Checkpoints | None = None,
) -> LocalOutput:
    """Fit, draw, refine, and write `synthetic/part-*.parquet` (and for `compact` the dictionaries) into `folder`.

    Files are the same, byte for byte, for any `threads` and wherever the source is stored. Parts that `pieces` holds
    are not made again if their files are unchanged.

    Args:
        pair: The logs.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        folder: An existing folder.
        layout: "target" or "compact"; see `scalr.synthesis.tables.TableBuilder`.
        threads: Parts to work on at a time.
        compared_rows: Rows that are compared with each other at a time, for duplicates and caps; see `LocalPasses`.
        board: Where progress is shown.
        pieces: Finished pieces of an earlier run of the same logs, settings and version, and where to keep new ones.

    Raises:
        SchemaError: If `negatives` is set and the target log is no log of impressions.
        ConfigError: If noise is combined with steps that would break its guarantee, or the folder has parts with
            another noise.
    """
    board, pieces = board or SilentBoard(), pieces or Checkpoints()
    refuse_unprotected(steps)
    if steps.translate.privacy.epsilon is not None:
        _refuse_second_noise(folder)
        pieces = Checkpoints()
    name, law = generation_name(pair, steps), negative_law(pair, steps)
    builder = TableBuilder(pair, name, layout, coded=True, labelled=law is not None)
    stream, fitting = _fit(pair, steps, threads, board)
    n_events = sum(count.positives for count in pair.source_counts.domains)
    stages = refining_stages(steps.refine, stream.real, steps.seed)
    passes = LocalPasses(stream, stages, board, n_events, compared_rows, pieces)
    progress = board.stage("drawing and writing synthetic events", n_events)
    (folder / "synthetic").mkdir(exist_ok=True)
    files = PartFiles(folder / "synthetic", builder)
    task = _PartTask(stream, passes, files, law, pieces, item_shares(pair.target), progress)
    with Stopwatch() as watch:
        total = task.run()
        files.finish()
        if layout == "compact":
            write_dictionaries(pair, folder / "dictionaries")
    details = passes.details(total.masses) | {"emit": {"layout": layout, "parts": len(files.digests)}}
    if law is not None:
        details["negatives"] = law.details()
    receipts = _receipts(n_events, total.count, passes, watch, details)
    facts = total.gathering.facts(steps.seed)
    n_negatives = 0 if law is None else total.count.rows.get("emit", 0) - len(facts)
    privacy = resting_on_few(facts, steps.translate.privacy)
    return LocalOutput(facts, name, (fitting, *receipts), files.digests, privacy, n_negatives)


def _refuse_second_noise(folder: Path) -> None:
    """Refuse to continue from parts whose noise is lost: two noises in one folder give half the protection."""
    if any((folder / "synthetic").glob("part-*")):
        raise ConfigError(
            "a generation with privacy.epsilon was interrupted, and its noise cannot be drawn again",
            expected="all parts from one fit",
            fix=f"discard the finished parts and start again without --resume: rm -r '{folder}'",
        )


def _fit(pair: StoredPair, steps: Steps, threads: int, board: Board) -> tuple[Stream, Receipt]:
    """Fit the translation; return its draws and the receipt of fitting."""
    board.stage("fitting the translation")
    translation = fit(pair, settings=steps.translate)
    least = steps.refine.min_support
    stream = Stream.from_pair(pair, translation, steps.sample, min_support=least, seed=steps.seed, threads=threads)
    return stream, translation.receipt


@dataclass(slots=True)
class PartResult:
    """What is known of a finished part, or of several.

    Attributes:
        gathering: Facts of its events.
        count: Rows of its stages.
        masses: Weight of its rows by bucket; None without rows or alignment.
    """

    gathering: Gathering
    count: Count
    masses: Masses | None = None

    def join(self, other: PartResult) -> None:
        """Add the result of the part that comes next."""
        self.gathering.join(other.gathering)
        self.count.join(other.count)
        if other.masses is not None:
            self.masses = other.masses if self.masses is None else self.masses + other.masses

    def state(self, sha256: str | None) -> dict[str, Any]:
        """Return a value that `Checkpoints` can keep.

        Args:
            sha256: Digest of the part's file; None without rows.
        """
        return {
            "sha256": sha256,
            "gathering": self.gathering.state(),
            "count": _fields(self.count),
            "masses": None if self.masses is None else _fields(self.masses),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], shares: Floats) -> PartResult:
        """Return the result that `state` was called on; `shares` as in `Gathering`."""
        masses = None if state["masses"] is None else Masses(**state["masses"])
        return cls(Gathering.from_state(state["gathering"], shares), Count(**state["count"]), masses)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


@dataclass(frozen=True, slots=True, eq=False)
class _PartTask:
    """Draws, refines and writes parts; threads share it."""

    stream: Stream
    passes: LocalPasses
    files: PartFiles
    law: NegativeLaw | None
    pieces: Checkpoints
    shares: Floats
    progress: Callable[[int], None]

    def run(self) -> PartResult:
        """Work on all parts; return their results together."""
        total = PartResult(Gathering(self.shares), Count())
        total.gathering.add(no_rows(timed=self.stream.pair.source.time is not None))
        for result in self.stream.each(self._finish):
            total.join(result)
        return total

    def _finish(self, part: Part) -> PartResult:
        """Write a part, unless an earlier run has finished it."""
        name = f"part-{part.number:05d}"
        state = self.pieces.get(name)
        if state is not None and self.files.has(part.number, state["sha256"]):
            result = PartResult.from_state(state, self.shares)
            self.progress(result.count.events)
            return result
        result = self._write_part(part)
        self.pieces.put(name, result.state(self.files.digest(part.number)))
        return result

    def _write_part(self, part: Part) -> PartResult:
        result, buckets = PartResult(Gathering(self.shares), Count()), self.passes.buckets
        with self.files.writer(part.number, result.count) as write:
            for chunk in self.stream.chunks(part, self.passes.steps, result.count, self.progress):
                rows = chunk.rows()
                self._write_rows(rows, result.count, write)
                result.gathering.add(rows)
                if buckets is not None:
                    masses = buckets.weigh(rows)
                    result.masses = masses if result.masses is None else result.masses + masses
        return result

    def _write_rows(self, rows: Rows, count: Count, write: Callable[[Rows], None]) -> None:
        """Write rows, with their negative rows where there is a law for them."""
        if self.law is None:
            write(rows)
            return
        clock = StageClock(count)
        for labelled in with_negatives(rows, self.law, count.rows.get("negatives", 0)):
            clock.lap("negatives")
            write(labelled)
            clock.restart()
        count.add("negatives", len(rows))


def _receipts(
    n_events: int, count: Count, passes: LocalPasses, watch: Stopwatch, details: Mapping[str, Mapping[str, Any]]
) -> list[Receipt]:
    """Return one receipt per stage; the time of the last pass is divided by the processor time of its stages."""
    total = sum(count.cpu_seconds.values()) or 1.0
    names = ["sample", *(stage.name for stage in passes.stages), *(["negatives"] * ("negatives" in details)), "emit"]
    rows, receipts = n_events, []
    for name in names:
        left = count.rows.get(name, 0 if name in ("sample", "drop_real", "filter") else rows)
        if name == "negatives":
            left = count.rows.get("emit", 0)
        share = count.cpu_seconds.get(name, 0.0)
        wall, cpu = passes.seconds.get(name, (0.0, 0.0))
        seconds = wall + watch.wall_seconds * share / total, cpu + share
        receipts.append(Receipt(name, rows, left, *seconds, details.get(name, {})))
        rows = left
    return receipts
