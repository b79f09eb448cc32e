"""Counting passes over the parts: the size of the source, cutoffs of long histories, users and items by category."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Broadcasts, BroadcastValue
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.layout import by_number, in_arrow
from scalr.engines.spark.cluster.part import PartPair, TargetSide, grouped_rows, pack_part, parts_of, read_part
from scalr.engines.spark.fitting.part_translation import KeyedCutoff
from scalr.engines.spark.reading.target import CategoryTable
from scalr.foundation import Codes, Int64, TranslateSettings
from scalr.logs import StoredPair, count_source_events
from scalr.synthesis import RealPairs, TargetHistories, count_targets

_MASK = (1 << 64) - 1
PACKED = "part int, counts string, packed binary"
PIECE_BYTES = 1 << 22  # of a packed part in a row, about what Spark caches at a time
INTERACTIONS = "user int, item bigint, time bigint, bucket int"
BUCKET_USERS = 1 << 14  # users whose interactions are ranked together, at most `cap` + 1 of each user and part
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
        shared_interactions: Interactions of users with target items that may be drawn.
        known_positives: Positive events of target users.
        whole_weights: Whether all weights are whole numbers.
        digest: See `SourceCounts.digest`.
        paths: Paths from source to target items, before any cap or window.
        largest_part: Rows of the largest part, copied events included.
        longest: Upper bound of the distinct items of a target user.
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


@dataclass(frozen=True, slots=True, eq=False)
class FitInputs:
    """Inputs that all of fitting shares.

    Attributes:
        pair: The target log; its source has no events.
        histories: Items of target users.
        settings: What to fit.
        packed: The parts.
        side: The target side of the parts.
        categories: Categories of source items for back-off; None without.
        counted: The source in numbers.
        broadcasts: Hands values to tasks.
    """

    pair: StoredPair
    histories: TargetHistories
    settings: TranslateSettings
    packed: Any
    side: BroadcastValue[TargetSide]
    categories: CategoryTable | None
    counted: SourceCount
    broadcasts: Broadcasts

    @property
    def n_users(self) -> int:
        """Return the number of target users."""
        return len(self.pair.target.users)

    @property
    def n_target(self) -> int:
        """Return the number of target items."""
        return len(self.pair.target.items)


@dataclass(frozen=True, slots=True)
class _PackParts:
    """Reads and packs parts: rows of pieces, the first of a part with its counts."""

    form: SourceForm
    side: BroadcastValue[TargetSide]
    history_start: BroadcastValue[Int64]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, rows in grouped_rows(batches, "part"):
            part = read_part(number, rows, self.form, self.side.open())
            counts = self._counts(part) | {"rows": len(rows)}
            whole = memoryview(pack_part(part))
            pieces = [whole[first : first + PIECE_BYTES] for first in range(0, len(whole), PIECE_BYTES)]
            for place, piece in enumerate(pieces):
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array([number], pa.int32()),
                        pa.array([None if place else json.dumps(counts)], pa.string()),
                        pa.array([piece], pa.binary()),
                    ],
                    names=["part", "counts", "packed"],
                )

    def _counts(self, part: PartPair) -> dict[str, Any]:
        own = part.own()
        counts = count_source_events([own], part.pair.source.users, part.pair.source.items)
        positives = own.positives()
        is_known, start = part.place >= 0, self.history_start.open()
        history = np.where(is_known, start[part.place + 1] - start[part.place], 0)
        return {
            "events": len(own),
            "positives": len(positives),
            "interactions": int(counts.interactions_of_user.sum()),
            "shared": int(counts.interactions_of_user[history > 0].sum()),
            "known": int(np.count_nonzero(is_known[positives.user])),
            "whole": counts.whole_weights,
            "digest": counts.digest,
            "paths": int((counts.interactions_of_user * history).sum()),
            "longest": int(counts.interactions_of_user[is_known].max(initial=0)),
        }


def packed_parts(
    laid: Any, form: SourceForm, side: BroadcastValue[TargetSide], history_start: BroadcastValue[Int64]
) -> Any:
    """Return the parts, read and packed, for `count_source` and `parts_of`; persist them."""
    return in_arrow(laid, _PackParts(form, side, history_start), PACKED)


def count_source(packed: Any) -> SourceCount:
    """Count the events of the source, in one pass."""
    rows = packed.select("counts").where("counts IS NOT NULL").collect()
    parts = [json.loads(row["counts"]) for row in rows]

    def total(name: str) -> int:
        return sum(part[name] for part in parts)

    return SourceCount(
        events=total("events"),
        positives=total("positives"),
        interactions=total("interactions"),
        shared_interactions=total("shared"),
        known_positives=total("known"),
        whole_weights=all(part["whole"] for part in parts),
        digest=total("digest") & _MASK,
        paths=total("paths"),
        largest_part=max((part["rows"] for part in parts), default=0),
        longest=total("longest"),
    )


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Emits the number of distinct items of each target user."""

    side: BroadcastValue[TargetSide]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            log = part.own().positives()
            items = np.bincount(log.user[log.starts_interaction()], minlength=len(part.place))
            user = np.flatnonzero((items > 0) & (part.place >= 0))
            arrays = [pa.array(part.place[user]), pa.array(items[user].astype(np.int32))]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "items"])


def any_longer(inputs: FitInputs, cap: int) -> bool:
    """Return whether a target user has more than `cap` source items."""
    if inputs.counted.longest <= cap:
        return False
    lengths = in_arrow(inputs.packed, _Lengths(inputs.side), "user int, items int")
    return not lengths.groupBy("user").sum("items").where(f"`sum(items)` > {cap}").isEmpty()


@dataclass(frozen=True, slots=True)
class _Latest:
    """Emits the latest interactions of target users: at most `cap` + 1 per user and part, enough to find the cutoff."""

    side: BroadcastValue[TargetSide]
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
            # one more than the cap, which shows whether the user is above it
            latest = order[(rank <= self.cap) & (user[order] >= 0)]
            keys = (part.pair.source.items.keys[item[latest]] ^ _SIGN).view(np.int64)
            yield pa.RecordBatch.from_arrays(
                [pa.array(user[latest]), pa.array(keys), pa.array(time[latest]), pa.array(user[latest] % self.buckets)],
                names=["user", "item", "time", "bucket"],
            )


@dataclass(frozen=True, slots=True)
class _Cutoffs:
    """Emits the last interaction within the cap, for users who are above it."""

    cap: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _, rows in grouped_rows(batches, "bucket"):
            user, item, time = (rows[name].to_numpy() for name in ("user", "item", "time"))
            order = np.lexsort((item, -time, user))
            ranked = user[order]
            rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
            is_above = np.bincount(ranked) > self.cap
            last = order[(rank == self.cap - 1) & is_above[ranked]]
            yield pa.RecordBatch.from_arrays(
                [pa.array(user[last]), pa.array(item[last]), pa.array(time[last]), pa.array(user[last] * 0)],
                names=["user", "item", "time", "bucket"],
            )


def fit_source_cutoff(inputs: FitInputs, cap: int) -> KeyedCutoff:
    """Find the cutoff of every target user's source history; see `Cutoff`."""
    n_users = inputs.n_users
    n_buckets = n_users // BUCKET_USERS + 1
    latest = in_arrow(inputs.packed, _Latest(inputs.side, cap, n_buckets), INTERACTIONS)
    latest = by_number(latest, "bucket", n_buckets)
    rows = in_arrow(latest, _Cutoffs(cap), INTERACTIONS).toArrow()
    time = np.full(n_users, np.iinfo(np.int64).min)
    item = np.zeros(n_users, np.uint64)
    user = rows["user"].to_numpy()
    time[user] = rows["time"].to_numpy()
    item[user] = rows["item"].to_numpy().view(np.uint64) ^ _SIGN
    return KeyedCutoff(time, item)


@dataclass(frozen=True, slots=True)
class _Members:
    """Emits the target users of each category: users with a source item of it within their cutoff."""

    side: BroadcastValue[TargetSide]
    categories: BroadcastValue[CategoryTable]
    cutoff: BroadcastValue[KeyedCutoff] | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            log = part.own().positives()
            table = self.categories.open()
            row, user = table.rows_of(part.pair.source.items)[log.item], part.place[log.user]
            counts = (user >= 0) & (row < table.n_categories)
            if self.cutoff is not None:
                counts &= self.cutoff.open().for_part(part).admits(log)
            pairs = np.unique(row[counts].astype(np.int64) << 32 | user[counts])
            arrays = [pa.array((pairs >> 32).astype(np.int32)), pa.array((pairs & 0xFFFFFFFF).astype(np.int32))]
            yield pa.RecordBatch.from_arrays(arrays, names=["row", "user"])


@dataclass(frozen=True, slots=True)
class _CountTargets:
    """Emits the target items of each category with the number of its users who have them; with `members`, the users."""

    histories: BroadcastValue[RealPairs]
    n_target: int
    members: bool

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        histories = self.histories.open()
        n_users = len(histories.start) - 1
        tally, item, count = (np.zeros(self.n_target, np.int32) for _ in range(3))
        for number, rows in grouped_rows(batches, "row"):
            user = np.sort(rows["user"].to_numpy())
            bits = np.zeros(n_users // 64 + 1, np.uint64)
            np.bitwise_or.at(bits, user >> 6, np.uint64(1) << (user & 63).astype(np.uint64))
            n = count_targets(bits, histories.start, histories.item, tally, item, count)
            arrays = [item[:n].tobytes(), count[:n].tobytes(), user.tobytes() if self.members else b""]
            yield pa.RecordBatch.from_arrays(
                [pa.array([number], pa.int32()), *(pa.array([array], pa.binary()) for array in arrays)],
                names=["row", "items", "users", "members"],
            )


def category_counts(
    inputs: FitInputs, categories: CategoryTable, cutoff: KeyedCutoff | None
) -> tuple[list[tuple[Codes, Codes]], list[Codes]]:
    """Count how many users of each category have each target item.

    Args:
        inputs: Inputs of fitting.
        categories: Categories of source items.
        cutoff: Cutoffs of source histories; None where all items count.

    Returns:
        Per category the items, ascending, and their numbers of users; and the members of each category.
    """
    nothing, n_categories = np.zeros(0, np.int32), categories.n_categories
    counts, members = [(nothing, nothing)] * n_categories, [nothing] * n_categories
    if not n_categories:
        return counts, members
    send, histories = inputs.broadcasts.send, inputs.histories
    members_of = _Members(inputs.side, send(categories), None if cutoff is None else send(cutoff))
    distinct = in_arrow(inputs.packed, members_of, _MEMBERS).distinct()
    sent = send(RealPairs(histories.start, histories.item))
    count_targets_of = _CountTargets(sent, inputs.n_target, cutoff is not None)
    for row in in_arrow(by_number(distinct, "row", n_categories), count_targets_of, _COUNTS).collect():
        items, users, category_members = (np.frombuffer(row[name], np.int32) for name in ("items", "users", "members"))
        counts[row["row"]], members[row["row"]] = (items, users), category_members
    return counts, members
