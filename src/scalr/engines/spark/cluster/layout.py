"""Partition the source into parts; items with many events are split over several parts, without changing a draw.

A part is some source items with all of their events. An item with more events than a part should hold is cut into
ranges of users. Each of its parts also gets *copied events*: events of other users with target items, because paths
pass through them; one per user, with a window one per time. A task needs `EVENT_BYTES` per row of its part, the paths
of its largest item (4 bytes each, at most the target log's interactions) and 8 bytes per target item.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import BroadcastValue
from scalr.engines.spark.cluster.form import TYPES, SourceForm
from scalr.engines.spark.cluster.part import places_among
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.foundation import Keys, Mask
from scalr.logs import IdColumn, Vocabulary, typed_keys

PART_EVENTS = 1 << 20  # events of a part, about, of a large log
LEAST_EVENTS = 1 << 16  # events of a part, about, at least: starting a task for fewer costs more than its work
TASKS_PER_CORE = 3  # parts per core, at least, as long as they are larger than `LEAST_EVENTS`
EVENT_BYTES = 320  # memory of a task per row of its part: ids of 13 to 15 letters and times, to 1.2 million rows
WORKER_BYTES = 384 << 20  # of a Python worker with its libraries and buffers; both measured in real runs with 10 draws

_COPIED = {"label": "CAST(1 AS TINYINT)", "value": "double('NaN')", "weight": "CAST(1 AS FLOAT)"}


@dataclass(frozen=True, slots=True)
class HotItem:
    """An item that is split over several parts.

    Attributes:
        domain: Place of its domain.
        item: Its id.
        events: Number of its events.
        first: Number of its first part.
        splits: Number of its parts.
    """

    domain: int
    item: Any
    events: int
    first: int
    splits: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How the source is cut into parts.

    Attributes:
        parts: Number of parts.
        plain: Number of parts with whole items; the others belong to `hot` items.
        part_events: Events of a part, about.
        hot: Items that are split.
    """

    parts: int
    plain: int
    part_events: int
    hot: tuple[HotItem, ...]

    def most_rows(self, n_path_users: int) -> int:
        """Return an approximate upper bound of the rows of a part; see `cut_source` for the argument.

        A part may exceed it by chance, because items are assigned to parts by a hash, or because users have very many
        events of a split item.
        """
        return 2 * max(self.part_events, n_path_users) if self.hot else self.part_events


def cut_source(frame: Any, n_events: int, n_path_users: int, *, partitions: int | None) -> Layout:
    """Decide how the source is cut; count the events of each item in Spark, and collect the largest counts only.

    Args:
        frame: Events in the common form.
        n_events: Number of events.
        n_path_users: Target users whose items may be drawn; an item has copied events of at most so many users.
        partitions: Number of parts with whole items; None to choose.
    """
    cores = frame.sparkSession.sparkContext.defaultParallelism
    n_parts = partitions or max(
        -(-n_events // PART_EVENTS), min(TASKS_PER_CORE * cores, -(-n_events // LEAST_EVENTS)), 1
    )
    size = max(1, -(-n_events // n_parts))
    counts = frame.groupBy("domain", "item").count().where(f"count > {size}").collect()
    hot, first = [], n_parts
    for row in sorted(counts, key=lambda row: (row["domain"], str(row["item"]))):
        events = int(row["count"])
        splits = -(-events // max(size, min(n_path_users, events)))
        if splits > 1:
            hot.append(HotItem(int(row["domain"]), row["item"], events, first, splits))
            first += splits
    return Layout(first, n_parts, size, tuple(hot))


PathUsers = BroadcastValue[tuple[Vocabulary, Mask]]
"""The target users, and whether each has items that may be drawn."""


def lay_out_parts(frame: Any, form: SourceForm, layout: Layout, path_users: PathUsers, *, windowed: bool) -> Any:
    """Return the events by part: columns as `read_part` reads them, and `part`; a partition is a part.

    Args:
        frame: Events in the common form.
        form: What its columns mean.
        layout: How to cut it.
        path_users: The target users.
        windowed: Whether the times of copied events matter.
    """
    from pyspark.sql import functions as f

    columns = ["domain", *form.roles]
    of_item = f"CAST(pmod(xxhash64(domain, item), {layout.plain}) AS INT) AS part"
    if not layout.hot:  # columns with the same value in all rows are not shuffled
        needed = columns if len(form.domains) > 1 else form.roles
        return by_number(frame.selectExpr(of_item, *needed), "part", layout.parts)
    kind = "string" if form.text_items else "bigint"
    hot = f.broadcast(
        frame.sparkSession.createDataFrame(
            [(item.domain, item.item, item.first, item.splits) for item in layout.hot],
            f"domain smallint, item {kind}, first int, splits int",
        )
    )
    plain = frame.join(hot, ["domain", "item"], "left_anti").selectExpr(of_item, "true AS own", *columns)
    split = in_arrow(
        frame.join(hot, ["domain", "item"]).selectExpr("first", "splits", *columns),
        _Split(path_users, form.text_users),
        _split_schema(form),
    )
    own = split.selectExpr("part", "true AS own", *columns)
    copied = _copied_events(split, form, windowed=windowed)
    return by_number(plain.unionAll(own).unionAll(copied), "part", layout.parts)


def _copied_events(split: Any, form: SourceForm, *, windowed: bool) -> Any:
    """Return the events that each part of a split item needs of the item's other parts."""
    from pyspark.sql import functions as f

    same = ["domain", "item", "user", "first", "splits", "part"]
    events = split.where("has_path" + (" AND label = 1" if "label" in form.roles else ""))
    if "time" in form.roles and windowed:
        events = events.select(*same, "time").distinct()
    elif "time" in form.roles:
        events = events.groupBy(*same).agg(f.max("time").alias("time"))
    else:
        events = events.select(*same).distinct()
    events = events.withColumn("other", f.expr("explode(sequence(first, first + splits - 1))")).where("other <> part")
    values = [f"{_COPIED[role]} AS {role}" if role in _COPIED else role for role in form.roles]
    return events.selectExpr("other AS part", "false AS own", "domain", *values)


def _split_schema(form: SourceForm) -> str:
    is_text = dict(form.id_roles)
    kinds = [f"{role} {'string' if is_text.get(role) else TYPES[role]}" for role in form.roles]
    return ", ".join(["first int", "splits int", "domain smallint", *kinds, "part int", "has_path boolean"])


@dataclass(frozen=True, slots=True)
class _Split:
    """Adds the part of their user to events of split items, and whether paths pass through the user."""

    path_users: PathUsers
    text_users: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        words, has_targets = self.path_users.open()
        for batch in batches:
            ids = batch.column("user").cast(pa.large_string() if self.text_users else pa.int64())
            users = IdColumn.from_values(pa.chunked_array([ids]))
            keys = typed_keys(users.distinct)
            no_domain = np.zeros(len(keys), np.int16)
            place = places_among(Vocabulary(users.distinct, keys, no_domain, ("",)), words)
            has_path = np.where(place >= 0, has_targets[np.maximum(place, 0)] if len(has_targets) else False, False)
            split = range_of(keys[users.place], batch.column("splits").to_numpy())
            part = (batch.column("first").to_numpy() + split).astype(np.int32)
            yield batch.append_column("part", pa.array(part)).append_column(
                "has_path", pa.array(has_path.astype(np.bool_)[users.place])
            )


def range_of(keys: Keys, n: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the range of each key among n equal ranges of all keys, shape (n_keys,); ascending with the keys.

    The upper 32 bits decide: the few items that are split need no finer cut.
    """
    upper = (keys >> np.uint64(32)).astype(np.int64)
    ranges: npt.NDArray[np.int64] = (upper * n.astype(np.int64)) >> 32
    return ranges


def by_number(frame: Any, column: str, n: int) -> Any:
    """Return the rows with a partition for each value of `column`, from 0 to n - 1."""
    if hasattr(frame, "repartitionById"):  # from Spark 4.1 on
        return frame.repartitionById(n, column)
    return frame.repartition(n, column).sortWithinPartitions(column)


BatchFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""Turns the batches of a partition into other batches, in a task."""

_n_calls = Counter[type]()  # by kind of function, in this Python worker


@dataclass(frozen=True, slots=True)
class _WithFrozenObjects:
    """A function of batches, in workers whose garbage collector skips the libraries they have loaded.

    Spark's workers collect garbage after every task, and each collection visits all objects of numba, NumPy and Arrow:
    a tenth of a second, often more than the work itself. On the second call of a function of the same kind, its
    libraries and compiled loops are loaded; objects that exist then are frozen and no longer visited.
    """

    work: BatchFunction

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        _n_calls[type(self.work)] += 1
        if _n_calls[type(self.work)] == 2:
            gc.freeze()
        return self.work(batches)


def in_arrow(frame: Any, work: BatchFunction, schema: Any) -> Any:
    """Return the frame of the batches that `work` makes of each partition."""
    with no_pandas_warning():
        return frame.mapInArrow(_WithFrozenObjects(work), schema)
