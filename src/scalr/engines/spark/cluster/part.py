"""A part of the source in a task: Arrow rows become a small pair of logs with canonical codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.engines.spark.cluster.broadcast import from_bytes, to_bytes
from scalr.engines.spark.cluster.form import SourceForm
from scalr.foundation import Codes, Int64
from scalr.logs import (
    ROLE_TYPES,
    CollectedEvents,
    CollectedLog,
    EventLog,
    IdColumn,
    ItemTable,
    MemoryBuffer,
    SourceCounts,
    StoredLog,
    StoredPair,
    TimeUnit,
    Vocabulary,
    source_log,
    unify,
)
from scalr.synthesis import RealPairs

MICROSECONDS = TimeUnit("timestamp", "us", pa.timestamp("us"))


@dataclass(frozen=True, slots=True, eq=False)
class TargetSide:
    """The target log as tasks need it, besides the translation.

    Attributes:
        target: The log without its events; its users are those of the target log alone.
        real: Pairs of the real target log, by these users.
        items: Item table of the target items; None without.
        whole_weights: Whether all source weights are whole numbers.
    """

    target: EventLog
    real: RealPairs
    items: ItemTable | None
    whole_weights: bool = True

    def with_weights(self, whole: bool) -> TargetSide:
        """Return a copy with another `whole_weights`."""
        return replace(self, whole_weights=whole)


@dataclass(frozen=True, slots=True, eq=False)
class PartPair:
    """One part of the source with the target side of its users.

    Attributes:
        number: Number of the part.
        pair: The source events, and the target log of their users without events.
        place: Shape (n_users,), place of each user of the part among the target users; -1 for others.
        events: Range of the events that belong to the part (all labels); the others are copies of events of other
            users, for the paths that pass through them.
    """

    number: int
    pair: StoredPair
    place: Codes
    events: tuple[int, int]

    def own(self) -> EventLog:
        """Return the events that belong to the part, all labels."""
        whole = self.pair.source.whole()
        if self.events == (0, len(whole)):
            return whole
        is_own = np.zeros(len(whole), np.bool_)
        is_own[slice(*self.events)] = True
        return whole.take(is_own)

    def own_positives(self) -> tuple[int, int]:
        """Return the range of the part's own events among the positive events of its source."""
        if self.pair.source.label is None:
            return self.events
        before = np.cumsum(self.pair.source.label[: len(self.pair.source)] == 1)
        first, last = self.events
        return int(before[first - 1]) if first else 0, int(before[last - 1]) if last else 0


def read_part(number_of_part: int, rows: pa.Table, form: SourceForm, side: TargetSide) -> PartPair:
    """Turn the rows of a part into a pair.

    Args:
        number_of_part: Number of the part.
        rows: Columns of the form's roles; `domain` where there are several, and `own` where items are split. All events
            of the part's items that draws depend on.
        form: What the columns mean.
        side: The target side.
    """
    domain = rows["domain"].to_numpy() if len(form.domains) > 1 else np.zeros(len(rows), np.int16)
    present = np.unique(domain).tolist()
    users: list[pa.Array] = []
    items = [IdColumn.from_values(pa.chunked_array([], _id_type(form.text_items))).distinct for _ in form.domains]
    buffers, places = [], []
    for number in present:
        of_domain = rows if len(present) == 1 else rows.filter(pa.array(domain == number))
        buffer, user, item = _buffer(of_domain, form)
        users.append(user.distinct)
        items[number] = item.distinct
        buffers.append(buffer)
        places.append(user.place)
    user_words, user_codes = unify(users)
    item_words, item_codes = unify(items, form.domains)
    time_unit = MICROSECONDS if "time" in form.roles else None
    events = [
        CollectedEvents(buffer, code, item_codes[number], time_unit)
        for number, buffer, code in zip(present, buffers, user_codes, strict=True)
    ]
    collected = CollectedLog(events, user_words, item_words, form.name, form.columns, form.schema)
    log = replace(source_log(collected), time_unit=form.time_unit)
    place = places_among(user_words, side.target.users)
    pair = StoredPair(log, replace(side.target, users=user_words), _part_counts(side.whole_weights), items=side.items)
    is_own = rows["own"].to_numpy() if "own" in rows.column_names else None
    if is_own is None or is_own.all():
        return PartPair(number_of_part, pair, place, (0, len(log)))
    own_users = user_codes[0][places[0][is_own]]  # the part has one item then, and its own events are a range of users
    return PartPair(number_of_part, pair, place, _range_of_users(log, own_users))


def _buffer(rows: pa.Table, form: SourceForm) -> tuple[MemoryBuffer, IdColumn, IdColumn]:
    """Return the rows of a domain as columns with codes, and their users and items."""
    user, item = (IdColumn.from_values(rows[role].cast(_id_type(is_text))) for role, is_text in form.id_roles)
    buffer = MemoryBuffer(len(rows))
    columns = {role: rows[role].to_numpy().astype(ROLE_TYPES[role], copy=False) for role in form.roles[2:]}
    buffer.add({"user": user.place, "item": item.place, **columns}, lambda: np.empty(0, np.uint64))
    return buffer, user, item


def _range_of_users(log: StoredLog, users: Codes) -> tuple[int, int]:
    """Return the range of a log's events that the range of these users has."""
    if not len(users):
        return 0, 0
    first, last = np.searchsorted(log.user[: len(log)], [users.min(), users.max() + 1]).tolist()
    return first, last


def pack_part(part: PartPair) -> bytes:
    """Return a part as bytes, without the target log; `unpack_part` is the inverse."""
    return to_bytes((part.number, part.pair.source, part.place, part.events))


def unpack_part(data: bytes, side: TargetSide) -> PartPair:
    """Return the part that `pack_part` has packed, with the target side added."""
    number, source, place, events = from_bytes(data)
    target = replace(side.target, users=source.users)
    return PartPair(
        number, StoredPair(source, target, _part_counts(side.whole_weights), items=side.items), place, events
    )


def parts_of(batches: Iterable[pa.RecordBatch], side: TargetSide) -> Iterator[PartPair]:
    """Yield the parts of a partition, which are packed and cut into pieces of bytes."""
    for _, rows in grouped_rows(batches, "part"):
        whole = b"".join(memoryview(piece.as_buffer()) for piece in rows["packed"])
        del rows
        yield unpack_part(whole, side)


def _id_type(is_text: bool) -> pa.DataType:
    return pa.large_string() if is_text else pa.int64()


@cache
def _part_counts(whole_weights: bool) -> SourceCounts:
    """Return the source counts of a part; only `whole_weights` is used."""
    nothing = np.zeros(0, np.int64)
    return SourceCounts(nothing, nothing, nothing, (), whole_weights, 0)


def places_among(words: Vocabulary, others: Vocabulary) -> Codes:
    """Return the code of each id in another vocabulary, shape (n,); -1 where that lacks the id.

    Both vocabularies are sorted by key; ids with equal keys are compared.
    """
    code = np.full(len(words), -1, np.int32)
    at = np.searchsorted(others.keys, words.keys)
    left = np.flatnonzero(at < len(others))
    while len(left):
        left = left[others.keys[at[left]] == words.keys[left]]
        other_ids, ids = others.ids.take(pa.array(at[left])), words.ids.take(pa.array(left))
        is_same = np.asarray(pc.equal(other_ids.cast(ids.type), ids).to_numpy(zero_copy_only=False), np.bool_)
        code[left[is_same]] = at[left[is_same]]
        left = left[~is_same]  # another id with the same key may follow
        at[left] += 1
        left = left[at[left] < len(others)]
    return code


def rows_of_groups(start: Int64, place: Codes) -> tuple[Int64, Int64]:
    """Select groups of consecutive rows.

    Args:
        start: Shape (n_groups + 1,), where each group starts.
        place: Shape (m,), the selected groups; -1 for an empty one.

    Returns:
        Where each selected group starts in the result, shape (m + 1,), and the rows.
    """
    group = np.maximum(place, 0)
    first = start[group]
    size = np.where(place < 0, 0, start[group + 1] - first)
    begin = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    rows: Int64 = np.arange(begin[-1]) + np.repeat(first - begin[:-1], size)
    return begin, rows


def real_pairs_of(real: RealPairs, place: Codes) -> RealPairs:
    """Return the real pairs of users with these places among the target users; see `rows_of_groups`."""
    start, rows = rows_of_groups(real.start, place)
    return RealPairs(start, real.item[rows])


def grouped_rows(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of each value of an integer column; batches are sorted by it, and one group is in memory."""
    waiting: list[pa.RecordBatch] = []
    current: int | None = None
    for batch in batches:
        values = batch.column(column).to_numpy()
        ends = np.append(np.flatnonzero(np.diff(values)) + 1, len(values))
        first = 0
        for last in ends.tolist():
            if last == first:
                continue
            if current is not None and int(values[first]) != current:
                yield current, pa.Table.from_batches(waiting)
                waiting = []
            current = int(values[first])
            waiting.append(batch.slice(first, last - first))
            first = last
    if current is not None:
        yield current, pa.Table.from_batches(waiting)
