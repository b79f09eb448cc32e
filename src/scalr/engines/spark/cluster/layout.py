"""Lay the source out by part: items that many events have are split over several parts, without changing a draw.

A part is some source items with all of their events. An item with more events than a part should hold is cut into
ranges of users; each of its parts also gets the item's *witnesses*: events of the other users who have target items,
since paths lead through them, one per user (with a window one per time). A task holds
`EVENT_BYTES` per row of its part, the paths of its largest item (4 bytes each, at most the target log's interactions)
and 8 bytes per target item.
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

from scalr.engines.spark.cluster.broadcast import Shipped
from scalr.engines.spark.cluster.form import TYPES, SourceForm
from scalr.engines.spark.cluster.part import places_among
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.foundation import Keys
from scalr.logs import IdColumn, Vocabulary, typed_keys

PART_EVENTS = 1 << 20  # events of a part, about, where the log is large
LEAST_EVENTS = 1 << 16  # events of a part, about, at least: below that, starting a task costs more than its work
TASKS_PER_CORE = 3  # parts per core at least, where they would be larger than `LEAST_EVENTS` then
EVENT_BYTES = 320  # that a task takes per row of its part: ids of 13 to 15 letters and times, to 1.2 million rows
WORKER_BYTES = 384 << 20  # of a Python worker with its libraries and buffers; both measured in real runs with 10 draws

_WITNESS = {"label": "CAST(1 AS TINYINT)", "value": "double('NaN')", "weight": "CAST(1 AS FLOAT)"}


@dataclass(frozen=True, slots=True)
class HotItem:
    """An item that is split.

    Attributes:
        domain: Its domain's place.
        item: Its id.
        events: Its events.
        first: Number of its first part.
        splits: Its parts.
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
        plain: Those of whole items; the others belong to `hot` items.
        part_events: Events of a part, about.
        hot: Items that are split.
    """

    parts: int
    plain: int
    part_events: int
    hot: tuple[HotItem, ...]

    def most_rows(self, n_testifying: int) -> int:
        """Return the rows of a part, about, at most; see `cut` for the argument.

        Without split items chance may add to it, since items come into parts by a hash; with them, users with very many
        events of one item.
        """
        return 2 * max(self.part_events, n_testifying) if self.hot else self.part_events


def cut(frame: Any, n_events: int, n_testifying: int, *, partitions: int | None) -> Layout:
    """Decide how the source is cut; counts the events of each item in Spark and collects the largest only.

    Args:
        frame: Events in one form.
        n_events: How many they are.
        n_testifying: Target users whose items may be drawn, who are the most witnesses an item can have.
        partitions: Parts of whole items to make; None to choose.
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
        splits = -(-events // max(size, min(n_testifying, events)))
        if splits > 1:
            hot.append(HotItem(int(row["domain"]), row["item"], events, first, splits))
            first += splits
    return Layout(first, n_parts, size, tuple(hot))


def lay_out(
    frame: Any, form: SourceForm, layout: Layout, target_users: Shipped[tuple[Vocabulary, npt.NDArray[np.bool_]]],
    *, windowed: bool,
) -> Any:  # fmt: skip
    """Return the events by part: columns as `read_part` reads them, and `part`; a partition is a part.

    Args:
        frame: Events in one form.
        form: What its columns mean.
        layout: How to cut it.
        target_users: The target users, and which of them have items that may be drawn.
        windowed: Whether the times of witnesses matter.
    """
    from pyspark.sql import functions as f

    columns = ["domain", *form.roles]
    of_item = f"CAST(pmod(xxhash64(domain, item), {layout.plain}) AS INT) AS part"
    if not layout.hot:  # what is the same in all rows is not shuffled
        needed = columns if len(form.domains) > 1 else form.roles
        return by_number(frame.selectExpr(of_item, *needed), "part", layout.parts)
    kind = "string" if form.text_items else "bigint"
    hot = f.broadcast(
        frame.sparkSession.createDataFrame(
            [(one.domain, one.item, one.first, one.splits) for one in layout.hot],
            f"domain smallint, item {kind}, first int, splits int",
        )
    )
    plain = frame.join(hot, ["domain", "item"], "left_anti").selectExpr(of_item, "true AS own", *columns)
    split = in_arrow(
        frame.join(hot, ["domain", "item"]).selectExpr("first", "splits", *columns),
        _Split(target_users, form.text_users),
        _split_schema(form),
    )
    own = split.selectExpr("part", "true AS own", *columns)
    same = ["domain", "item", "user", "first", "splits", "part"]
    witness = split.where("testifies" + (" AND label = 1" if "label" in form.roles else ""))
    if "time" in form.roles and windowed:
        witness = witness.select(*same, "time").distinct()
    elif "time" in form.roles:
        witness = witness.groupBy(*same).agg(f.max("time").alias("time"))
    else:
        witness = witness.select(*same).distinct()
    witness = witness.withColumn("other", f.expr("explode(sequence(first, first + splits - 1))")).where("other <> part")
    lent = [f"{_WITNESS[role]} AS {role}" if role in _WITNESS else role for role in form.roles]
    witness = witness.selectExpr("other AS part", "false AS own", "domain", *lent)
    return by_number(plain.unionAll(own).unionAll(witness), "part", layout.parts)


def _split_schema(form: SourceForm) -> str:
    texts = {"user": form.text_users, "item": form.text_items}
    kinds = [f"{role} {'string' if texts.get(role) else TYPES[role]}" for role in form.roles]
    return ", ".join(["first int", "splits int", "domain smallint", *kinds, "part int", "testifies boolean"])


@dataclass(frozen=True, slots=True)
class _Split:
    """Gives events of split items the part of their user, and says whether the user may be a witness."""

    target_users: Shipped[tuple[Vocabulary, npt.NDArray[np.bool_]]]
    text_users: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        words, testifies = self.target_users.open()
        for batch in batches:
            ids = batch.column("user").cast(pa.large_string() if self.text_users else pa.int64())
            users = IdColumn.from_values(pa.chunked_array([ids]))
            keys = typed_keys(users.distinct)
            nobody = np.zeros(len(keys), np.int16)
            place = places_among(Vocabulary(users.distinct, keys, nobody, ("",)), words)
            lends = np.where(place >= 0, testifies[np.maximum(place, 0)] if len(testifies) else False, False)
            split = range_of(keys[users.place], batch.column("splits").to_numpy())
            part = (batch.column("first").to_numpy() + split).astype(np.int32)
            yield batch.append_column("part", pa.array(part)).append_column(
                "testifies", pa.array(lends.astype(np.bool_)[users.place])
            )


def range_of(keys: Keys, n: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return in which of n equal ranges of all keys each key lies, shape (n_keys,): keys in order are ranges in order.

    Only the upper 32 bits decide: as few items as are split need no finer cut.
    """
    upper = (keys >> np.uint64(32)).astype(np.int64)
    ranges: npt.NDArray[np.int64] = (upper * n.astype(np.int64)) >> 32
    return ranges


def by_number(frame: Any, column: str, n: int) -> Any:
    """Return the rows with those of each value of `column`, 0 to n - 1, together, in partitions of their own."""
    if hasattr(frame, "repartitionById"):  # from Spark 4.1 on
        return frame.repartitionById(n, column)
    return frame.repartition(n, column).sortWithinPartitions(column)


Work = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""What a task makes of the batches of its partition."""

_times_done = Counter[type]()  # by kind of work, in this Python worker


@dataclass(frozen=True, slots=True)
class _LittleToCollect:
    """Work, in Python workers whose garbage collector passes over what they have loaded.

    Spark's workers collect garbage after every task, and look at all objects of numba, NumPy and Arrow each time: a
    tenth of a second, often more than the work. When work of a kind comes for the second time, its libraries and
    compiled loops are loaded, and what has outlived the collection before is not looked at again.
    """

    work: Work

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        _times_done[type(self.work)] += 1
        if _times_done[type(self.work)] == 2:
            gc.freeze()
        return self.work(batches)


def in_arrow(frame: Any, work: Work, schema: Any) -> Any:
    """Return what `work` makes of the batches of each partition."""
    with no_pandas_warning():
        return frame.mapInArrow(_LittleToCollect(work), schema)
