"""Write the synthetic events of stored logs into a folder, part by part."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.local.passes import Narrowing
from scalr.foundation import Board, ConfigError, Floats, Pieces, Receipt, SilentBoard, Steps, Stopwatch
from scalr.logs import StoredPair, file_digest
from scalr.synthesis import (
    Clock,
    Count,
    EventFacts,
    Gathering,
    Masses,
    Part,
    PartWriter,
    Rows,
    Stream,
    TableBuilder,
    fit,
    generation_name,
    item_shares,
    masses_of,
    negative_law,
    no_rows,
    refuse_unprotected,
    resting_on_few,
    with_negatives,
    write_dictionaries,
)

_STAGES = ("sample", "drop_real", "filter", "deduplicate", "align", "cap", "negatives", "emit")


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Synthetic events that were written, and how they came about.

    Attributes:
        facts: The events in numbers, negative rows left out.
        generation_id: 16 hexadecimal digits; equal for equal logs, settings and seed.
        receipts: One per stage, from fitting on.
        digests: SHA-256 of the part files.
        privacy: Who is behind the events; see `scalr.synthesis.facts.resting_on_few`.
        negatives: Negative rows beside the events.
    """

    facts: EventFacts
    generation_id: str
    receipts: tuple[Receipt, ...]
    digests: Mapping[Path, str]
    privacy: Mapping[str, Any]
    negatives: int = 0


def _refuse_second_noise(folder: Path) -> None:
    """Refuse to go on from parts whose noise is gone: two noises in one folder promise half of what one does."""
    if any((folder / "synthetic").glob("part-*")):
        raise ConfigError(
            "a generation with privacy.epsilon was cut off, and its noise cannot be had again",
            expected="all parts from one fit",
            fix=f"discard what is finished and begin anew without --resume: rm -r '{folder}'",
        )


def write_events(
    pair: StoredPair,
    steps: Steps,
    folder: Path,
    *,
    layout: str = "target",
    threads: int = 1,
    held_rows: int | None = None,
    board: Board | None = None,
    pieces: Pieces | None = None,
) -> Written:
    """Fit, draw, refine, and write `synthetic/part-*.parquet` (and for `compact` the dictionaries) into `folder`.

    Files are the same, byte for byte, for any `threads` and wherever the source is stored. Parts that `pieces` knows
    are not made again, if their files are as they were.

    Args:
        pair: The logs.
        steps: Settings; of these `seed`, `translate`, `sample`, `refine` and `negatives` are used.
        folder: An existing folder.
        layout: "target" or "compact"; see `scalr.synthesis.tables.TableBuilder`.
        threads: Parts to work on at a time.
        held_rows: Rows that are compared with each other at a time, for duplicates and caps; see `Narrowing`.
        board: Where progress is shown.
        pieces: What is finished already, and where to keep what gets finished; of the same logs, settings and version.

    Raises:
        SchemaError: If negatives are asked for and the target log is no log of impressions.
        ConfigError: If noise is asked for beside steps that know none, or there are parts with another noise.
    """
    board, pieces = board or SilentBoard(), pieces or Pieces()
    refuse_unprotected(steps)
    if steps.translate.privacy.epsilon is not None:
        _refuse_second_noise(folder)
        pieces = Pieces()
    name = generation_name(pair, steps)
    law = negative_law(pair, steps)
    builder = TableBuilder(pair, name, layout, coded=True, labelled=law is not None)
    board.stage("fitting the translation")
    translation = fit(pair, settings=steps.translate)
    stream = Stream.of(
        pair, translation, steps.sample, min_support=steps.refine.min_support, seed=steps.seed, threads=threads
    )
    n_events = sum(count.positives for count in pair.source_counts.domains)
    narrowing = Narrowing(stream, steps.refine, board, n_events, held_rows, pieces)
    drawn = board.stage("drawing and writing synthetic events", n_events)
    (folder / "synthetic").mkdir(exist_ok=True)
    files, shares, buckets = _Files(folder / "synthetic", builder), item_shares(pair.target), narrowing.buckets

    def work(part: Part) -> tuple[Gathering, Count, Masses | None]:
        known = pieces.get(f"part-{part.number:05d}")
        if known is not None and files.has(part.number, known["sha256"]):
            drawn(known["count"]["events"])
            return unpacked(known, shares)
        gathering, count, masses = Gathering(shares), Count(), []
        with files.writer(part.number, count) as write:
            for chunk in stream.chunks(part, narrowing.steps, count, drawn):
                rows = chunk.rows()
                if law is None:
                    write(rows)
                else:
                    clock = Clock(count)
                    for labelled in with_negatives(rows, law, count.rows.get("negatives", 0)):
                        clock.lap("negatives")
                        write(labelled)
                        clock.restart()
                    count.add("negatives", len(rows))
                gathering.add(rows)
                if buckets is not None:
                    masses.append(masses_of(buckets, rows))
        after = reduce(add, masses) if masses else None
        pieces.put(f"part-{part.number:05d}", packed(files.digest(part.number), gathering, count, after))
        return gathering, count, after

    gathering, count, after = Gathering(shares), Count(), []
    gathering.add(no_rows(timed=pair.source.time is not None))
    with Stopwatch() as watch:
        for of_part, counted, masses in stream.each(work):
            gathering.join(of_part)
            count.join(counted)
            after += [] if masses is None else [masses]
        files.finish()
        if layout == "compact":
            write_dictionaries(pair, folder / "dictionaries")
    details = {
        "deduplicate": {"policy": steps.refine.duplicates},
        "align": narrowing.align_details(reduce(add, after) if after else None),
        "emit": {"layout": layout, "parts": len(files.digests)},
    }
    if law is not None:
        details["negatives"] = law.details()
    receipts = _receipts(n_events, count, narrowing, watch, details)
    facts = gathering.facts(steps.seed)
    n_negatives = 0 if law is None else count.rows.get("emit", 0) - len(facts)
    privacy = resting_on_few(facts, steps.translate.privacy)
    return Written(facts, name, (translation.receipt, *receipts), files.digests, privacy, n_negatives)


def _receipts(
    n_events: int, count: Count, narrowing: Narrowing, watch: Stopwatch, details: Mapping[str, Mapping[str, Any]]
) -> list[Receipt]:
    """Return one receipt per stage; the time of the last pass is shared out by the processor time of its stages."""
    total = sum(count.cpu_seconds.values()) or 1.0
    rows, receipts = n_events, []
    for stage in _STAGES:
        if stage in ("align", "negatives") and not details.get(stage):
            continue
        left = count.rows.get(stage, 0 if stage in ("sample", "drop_real", "filter") else rows)
        if stage == "negatives":
            left = count.rows.get("emit", 0)
        share = count.cpu_seconds.get(stage, 0.0)
        wall, cpu = narrowing.seconds.get(stage, (0.0, 0.0))
        seconds = wall + watch.wall_seconds * share / total, cpu + share
        receipts.append(Receipt(stage, rows, left, *seconds, details.get(stage, {})))
        rows = left
    return receipts


class _Files:
    """Part files that appear whole, as their parts have rows; each thread builds tables with a builder of its own."""

    def __init__(self, folder: Path, builder: TableBuilder) -> None:
        self._folder, self._builder = folder, builder
        self._own = threading.local()
        self.digests: dict[Path, str] = {}

    def has(self, number: int, digest: str | None) -> bool:
        """Say whether a part's file is there as it was written; None is the digest of a part without rows."""
        file = self._file(number)
        if digest is not None and file.is_file() and file_digest(file) == digest:
            self.digests[file] = digest
        return self.digest(number) == digest

    def digest(self, number: int) -> str | None:
        """Return the SHA-256 of a part's file; None if it has none."""
        return self.digests.get(self._file(number))

    @contextmanager
    def writer(self, number: int, count: Count) -> Iterator[Callable[[Rows], None]]:
        """Give a function that writes rows to the part's file; the file is finished at the end."""
        writers: list[PartWriter] = []

        def write(rows: Rows) -> None:
            if not len(rows):
                return
            clock = Clock(count)
            if not writers:
                writers.append(self._open(number))
            writers[0].write(self._build(rows))
            count.add("emit", len(rows))
            clock.lap("emit")

        try:
            yield write
        except BaseException:
            for writer in writers:
                with suppress(OSError):  # the first error tells more than that of closing
                    writer.close()
            raise
        clock = Clock(count)
        for writer in writers:
            self._finish(number, writer)
        clock.lap("emit")

    def finish(self) -> None:
        """Remove what is no finished part; write an empty file where there are no events, for readers to find columns.

        What is removed are files that a run which was cut off had just begun.
        """
        for file in self._folder.iterdir():
            if file not in self.digests:
                file.unlink()
        if not self.digests:
            writer = self._open(0)
            writer.close()
            writer.file.replace(self._file(0))

    def _build(self, rows: Rows) -> pa.Table:
        if not hasattr(self._own, "builder"):
            self._own.builder = self._builder.fork()
        return self._own.builder(rows)

    def _finish(self, number: int, writer: PartWriter) -> None:
        writer.close()
        file = self._file(number)
        self.digests[file] = file_digest(writer.file)  # while its pages are still in memory
        writer.file.replace(file)

    def _file(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.parquet"

    def _open(self, number: int) -> PartWriter:
        return PartWriter(self._file(number).with_suffix(".growing"), self._builder.schema, self._builder.coded)


def packed(sha256: str | None, gathering: Gathering, count: Count, masses: Masses | None) -> dict[str, Any]:
    """Return a finished part as a value that `scalr.foundation.checkpoints.Pieces` keeps.

    Args:
        sha256: Digest of its file; None without rows.
        gathering: Facts of its events.
        count: What happened to its events.
        masses: Weight of its rows by bucket; None without alignment.
    """
    gathered = {name: value for name, value in vars(gathering).items() if not name.startswith("_")}
    items = np.flatnonzero(gathered.pop("item_counts"))  # few of a large catalogue
    best = gathered.pop("best")
    return {
        "sha256": sha256,
        "items": items,
        "item_counts": gathering.item_counts[items],
        "best": None if best is None else _fields(best),
        "gathered": gathered,
        "count": _fields(count),
        "masses": None if masses is None else _fields(masses),
    }


def unpacked(kept: dict[str, Any], shares: Floats) -> tuple[Gathering, Count, Masses | None]:
    """Return what `packed` was given, but for the digest; `shares` is what the gathering was made with."""
    gathering = Gathering(shares)
    gathering.item_counts[kept["items"]] = kept["item_counts"]
    gathering.best = None if kept["best"] is None else Rows(**kept["best"])
    for name, value in kept["gathered"].items():
        setattr(gathering, name, value)
    return gathering, Count(**kept["count"]), None if kept["masses"] is None else Masses(**kept["masses"])


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in fields(value)}
