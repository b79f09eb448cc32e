"""Passes over the parts that only count: what the source holds, which source items testify, who is in a category."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Shipped
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.layout import by_number, in_arrow
from scalr.engines.spark.cluster.part import TargetSide, groups_of, pack, parts_of, read_part
from scalr.engines.spark.fitting.part_translation import KeyedCutoff
from scalr.engines.spark.reading.target import CategoryTable
from scalr.foundation import Codes, Int64
from scalr.logs import count_source_events
from scalr.synthesis import RealPairs, count_targets

_MASK = (1 << 64) - 1
PACKED = "part int, told string, packed binary"
PIECE_BYTES = 1 << 22  # of a packed part in a row, about what Spark caches at a time
INTERACTIONS = "user int, item bigint, time bigint, bucket int"
BUCKET_USERS = 1 << 14  # whose interactions are ranked together, at most `cap` + 1 per part
_MEMBERS = "row int, user int"
_COUNTS = "row int, items binary, users binary, members binary"
_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """All source events in numbers.

    Attributes:
        events: Events.
        positives: Events with label 1.
        interactions: Distinct (user, item) of these.
        shared_interactions: Those of users with target items that may be drawn.
        known_positives: Positive events of target users.
        whole_weights: Whether all weights are whole numbers.
        digest: See `SourceCounts.digest`.
        paths: Paths from source to target items, before any cap or window.
        largest_part: Rows of the largest part, witnesses included.
        longest: Distinct items that one target user has at most, about; never fewer.
    """

    events: int
    positives: int
    interactions: int
    shared_interactions: int
    known_positives: int
    whole_weights: bool
    digest: int
    paths: int
    largest_part: int
    longest: int


@dataclass(frozen=True, slots=True)
class _Read:
    """Reads parts and packs them: rows of pieces, the first with what the part counts."""

    form: SourceForm
    side: Shipped[TargetSide]
    history_start: Shipped[Int64]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, rows in groups_of(batches, "part"):
            part = read_part(number, rows, self.form, self.side.open())
            own = part.own()
            counts = count_source_events([own], part.pair.source.users, part.pair.source.items)
            real = own.positives()
            known = part.place >= 0
            start = self.history_start.open()
            history = np.where(known, start[part.place + 1] - start[part.place], 0)
            counted = {
                "events": len(own),
                "positives": len(real),
                "interactions": int(counts.interactions_of_user.sum()),
                "shared": int(counts.interactions_of_user[history > 0].sum()),
                "known": int(np.count_nonzero(known[real.user])),
                "whole": counts.whole_weights,
                "digest": counts.digest,
                "paths": int((counts.interactions_of_user * history).sum()),
                "rows": len(rows),
                "longest": int(counts.interactions_of_user[known].max(initial=0)),
            }
            whole = memoryview(pack(part))
            pieces = [whole[first : first + PIECE_BYTES] for first in range(0, len(whole), PIECE_BYTES)]
            for place, piece in enumerate(pieces):
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array([number], pa.int32()),
                        pa.array([None if place else json.dumps(counted)], pa.string()),
                        pa.array([piece], pa.binary()),
                    ],
                    names=["part", "told", "packed"],
                )


def packed_parts(laid: Any, form: SourceForm, side: Shipped[TargetSide], history_start: Shipped[Int64]) -> Any:
    """Return the parts, read and packed, for `count_source` and `parts_of`; worth to be persisted."""
    return in_arrow(laid, _Read(form, side, history_start), PACKED)


def count_source(packed: Any) -> SourceCount:
    """Count what the source holds, in one pass."""
    told = [json.loads(row["told"]) for row in packed.select("told").where("told IS NOT NULL").collect()]

    def total(name: str) -> int:
        return sum(one[name] for one in told)

    return SourceCount(
        events=total("events"),
        positives=total("positives"),
        interactions=total("interactions"),
        shared_interactions=total("shared"),
        known_positives=total("known"),
        whole_weights=all(one["whole"] for one in told),
        digest=total("digest") & _MASK,
        paths=total("paths"),
        largest_part=max((one["rows"] for one in told), default=0),
        longest=total("longest"),
    )


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Gives the distinct items of each target user."""

    side: Shipped[TargetSide]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            log = part.own().positives()
            items = np.bincount(log.user[log.starts_interaction()], minlength=len(part.place))
            chosen = np.flatnonzero((items > 0) & (part.place >= 0))
            arrays = [pa.array(part.place[chosen]), pa.array(items[chosen].astype(np.int32))]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "items"])


def any_longer(packed: Any, side: Shipped[TargetSide], counted: SourceCount, cap: int) -> bool:
    """Say whether a target user has more than so many source items."""
    if counted.longest <= cap:
        return False
    lengths = in_arrow(packed, _Lengths(side), "user int, items int")
    return not lengths.groupBy("user").sum("items").where(f"`sum(items)` > {cap}").isEmpty()


@dataclass(frozen=True, slots=True)
class _Latest:
    """Gives the latest interactions of target users: at most `cap` per user and part, enough to find the cutoff."""

    side: Shipped[TargetSide]
    cap: int
    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            log = part.own().positives()
            first = np.flatnonzero(log.starts_interaction())
            last = np.append(first[1:], len(log)) - 1
            user, item = part.place[log.user[first]], log.item[first]
            time = np.zeros(len(first), np.int64) if log.time is None else log.time[last]
            order = np.lexsort((item, -time, user))
            rank = np.arange(len(order)) - np.searchsorted(user[order], user[order])
            # one more than the cap: whether there is more than that is what decides if a user is cut off
            chosen = order[(rank <= self.cap) & (user[order] >= 0)]
            keys = (part.pair.source.items.keys[item[chosen]] ^ _SIGN).view(np.int64)
            yield pa.RecordBatch.from_arrays(
                [pa.array(user[chosen]), pa.array(keys), pa.array(time[chosen]), pa.array(user[chosen] % self.buckets)],
                names=["user", "item", "time", "bucket"],
            )


@dataclass(frozen=True, slots=True)
class _Cutoffs:
    cap: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, rows in groups_of(batches, "bucket"):
            user, item, time = (rows[name].to_numpy() for name in ("user", "item", "time"))
            order = np.lexsort((item, -time, user))
            ranked = user[order]
            rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
            many = np.bincount(ranked) > self.cap
            chosen = order[(rank == self.cap - 1) & many[ranked]]
            yield pa.RecordBatch.from_arrays(
                [pa.array(user[chosen]), pa.array(item[chosen]), pa.array(time[chosen]), pa.array(user[chosen] * 0)],
                names=["user", "item", "time", "bucket"],
            )


def source_cutoff(packed: Any, side: Shipped[TargetSide], cap: int, n_users: int) -> KeyedCutoff:
    """Find the cutoff of every target user's source history; see `Cutoff`."""
    n_buckets = n_users // BUCKET_USERS + 1
    latest = by_number(in_arrow(packed, _Latest(side, cap, n_buckets), INTERACTIONS), "bucket", n_buckets)
    rows = in_arrow(latest, _Cutoffs(cap), INTERACTIONS).toArrow()
    time = np.full(n_users, np.iinfo(np.int64).min)
    item = np.zeros(n_users, np.uint64)
    user = rows["user"].to_numpy()
    time[user] = rows["time"].to_numpy()
    item[user] = rows["item"].to_numpy().view(np.uint64) ^ _SIGN
    return KeyedCutoff(time, item)


@dataclass(frozen=True, slots=True)
class _Members:
    """Gives the target users who have a testifying source item of each category."""

    side: Shipped[TargetSide]
    categories: Shipped[CategoryTable]
    cutoff: Shipped[KeyedCutoff] | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            log = part.own().positives()
            table = self.categories.open()
            row, user = table.rows_of(part.pair.source.items)[log.item], part.place[log.user]
            counts = (user >= 0) & (row < table.n_categories)
            if self.cutoff is not None:
                counts &= self.cutoff.open().for_part(part).admits(log)
            both = np.unique(row[counts].astype(np.int64) << 32 | user[counts])
            arrays = [pa.array((both >> 32).astype(np.int32)), pa.array((both & 0xFFFFFFFF).astype(np.int32))]
            yield pa.RecordBatch.from_arrays(arrays, names=["row", "user"])


@dataclass(frozen=True, slots=True)
class _CountTargets:
    """Gives each category's target items with the number of its users who have them, and the users if asked."""

    histories: Shipped[RealPairs]
    n_target: int
    members: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = self.histories.open()
        n_users = len(held.start) - 1
        tally, item, count = (np.zeros(self.n_target, np.int32) for _ in range(3))
        for number, rows in groups_of(batches, "row"):
            user = np.sort(rows["user"].to_numpy())
            bits = np.zeros(n_users // 64 + 1, np.uint64)
            np.bitwise_or.at(bits, user >> 6, np.uint64(1) << (user & 63).astype(np.uint64))
            n = count_targets(bits, held.start, held.item, tally, item, count)
            told = [item[:n].tobytes(), count[:n].tobytes(), user.tobytes() if self.members else b""]
            yield pa.RecordBatch.from_arrays(
                [pa.array([number], pa.int32()), *(pa.array([one], pa.binary()) for one in told)],
                names=["row", "items", "users", "members"],
            )


def category_counts(
    packed: Any, side: Shipped[TargetSide], categories: Shipped[CategoryTable], n_categories: int,
    cutoff: Shipped[KeyedCutoff] | None, histories: Shipped[RealPairs], n_target: int,
) -> tuple[list[tuple[Codes, Codes]], list[Codes]]:  # fmt: skip
    """Count how many users of each category have each target item.

    Returns:
        Per category the items, ascending, and their users; and the members of each category.
    """
    nothing = np.zeros(0, np.int32)
    rows = [(nothing, nothing)] * n_categories
    members = [nothing] * n_categories
    if not n_categories:
        return rows, members
    distinct = in_arrow(packed, _Members(side, categories, cutoff), _MEMBERS).distinct()
    counted = in_arrow(
        by_number(distinct, "row", n_categories), _CountTargets(histories, n_target, cutoff is not None), _COUNTS
    )
    for row in counted.collect():
        arrays = [np.frombuffer(row[name], np.int32) for name in ("items", "users", "members")]
        rows[row["row"]], members[row["row"]] = (arrays[0], arrays[1]), arrays[2]
    return rows, members
