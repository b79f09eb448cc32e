"""A part of the source in a task: from Arrow rows to a small pair of logs of its own, with canonical codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.engines.spark.cluster.broadcast import packed, unpacked
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
    """What tasks need of the target log beside the translation.

    Attributes:
        target: The log without its events; its users are those of the target log alone.
        real: The pairs that are real, by these users.
        items: Item table of the target items; None without.
        whole_weights: Whether all source weights are whole numbers.
    """

    target: EventLog
    real: RealPairs
    items: ItemTable | None
    whole_weights: bool = True

    def with_weights(self, whole: bool) -> TargetSide:
        """Return the same for sources whose weights are whole numbers, or not."""
        return replace(self, whole_weights=whole)


@dataclass(frozen=True, slots=True, eq=False)
class PartPair:
    """One part of the source with the target side of its users.

    Attributes:
        number: Number of the part.
        pair: The source events, and the target log of their users without events.
        place: Shape (n_users,), place of each user of the part among the target users; -1 for others.
        events: First and last + 1 of the events of this part (all labels); others only lend their target items.
    """

    number: int
    pair: StoredPair
    place: Codes
    events: tuple[int, int]

    def own(self) -> EventLog:
        """Return the events of the part, all labels."""
        whole = self.pair.source.whole()
        if self.events == (0, len(whole)):
            return whole
        mine = np.zeros(len(whole), np.bool_)
        mine[slice(*self.events)] = True
        return whole.take(mine)

    def own_positives(self) -> tuple[int, int]:
        """Return the range of the part's own events among the positive events of its source."""
        if self.pair.source.label is None:
            return self.events
        before = np.cumsum(self.pair.source.label[: len(self.pair.source)] == 1)
        first, last = self.events
        return int(before[first - 1]) if first else 0, int(before[last - 1]) if last else 0


def read_part(number: int, rows: pa.Table, form: SourceForm, side: TargetSide) -> PartPair:
    """Turn the rows of a part into a pair.

    Args:
        number: Number of the part.
        rows: Columns of the form's roles; `domain` where there are several, and `own` where items are split. All events
            of the part's items that matter.
        form: What the columns mean.
        side: The target side.
    """
    domain = rows["domain"].to_numpy() if len(form.domains) > 1 else np.zeros(len(rows), np.int16)
    present = np.unique(domain).tolist()
    users: list[pa.Array] = []
    items: list[pa.Array] = [_ids(pa.chunked_array([], _id_type(form.text_items))).distinct for _ in form.domains]
    buffers, places = [], []
    for one in present:
        mine = rows if len(present) == 1 else rows.filter(pa.array(domain == one))
        user, item = (_ids(mine[role].cast(_id_type(text))) for role, text in _texts(form))
        users.append(user.distinct)
        items[one] = item.distinct
        buffer = MemoryBuffer(len(mine))
        columns = {role: mine[role].to_numpy().astype(ROLE_TYPES[role], copy=False) for role in form.roles[2:]}
        buffer.add({"user": user.place, "item": item.place, **columns}, lambda: np.empty(0, np.uint64))
        buffers.append(buffer)
        places.append(user.place)
    words, user_codes = unify(users)
    things, item_codes = unify(items, form.domains)
    time_unit = MICROSECONDS if "time" in form.roles else None
    events = [
        CollectedEvents(buffer, code, item_codes[one], time_unit)
        for one, buffer, code in zip(present, buffers, user_codes, strict=True)
    ]
    collected = CollectedLog(events, words, things, form.name, form.columns, form.schema)
    log = replace(source_log(collected), time_unit=form.time_unit)
    place = places_among(words, side.target.users)
    pair = StoredPair(log, replace(side.target, users=words), _part_counts(side.whole_weights), items=side.items)
    own = (0, len(log))
    is_own = rows["own"].to_numpy() if "own" in rows.column_names else None
    if is_own is not None and not is_own.all():  # of one item then: what is its own is a range of users
        mine = user_codes[0][places[0][is_own]]
        user = log.user[: len(log)]
        own = tuple(np.searchsorted(user, [mine.min(), mine.max() + 1]).tolist()) if len(mine) else (0, 0)
    return PartPair(number, pair, place, own)


def pack(part: PartPair) -> bytes:
    """Return a part without what it has of the target log; `unpack` gives it back."""
    return packed((part.number, part.pair.source, part.place, part.events))


def unpack(given: bytes, side: TargetSide) -> PartPair:
    """Return a part that `pack` packed, with the target side given."""
    number, source, place, events = unpacked(given)
    target = replace(side.target, users=source.users)
    return PartPair(
        number, StoredPair(source, target, _part_counts(side.whole_weights), items=side.items), place, events
    )


def parts_of(batches: Iterable[pa.RecordBatch], side: TargetSide) -> Iterator[PartPair]:
    """Give the parts of a partition of packed parts, which lie there in pieces of bytes."""
    for _, rows in groups_of(batches, "part"):
        whole = b"".join(memoryview(one.as_buffer()) for one in rows["packed"])
        del rows
        yield unpack(whole, side)


def _texts(form: SourceForm) -> tuple[tuple[str, bool], ...]:
    return ("user", form.text_users), ("item", form.text_items)


def _id_type(is_text: bool) -> pa.DataType:
    return pa.large_string() if is_text else pa.int64()


def _ids(values: pa.ChunkedArray) -> IdColumn:
    return IdColumn.from_values(values)


@cache
def _no_counts(whole_weights: bool) -> SourceCounts:
    nothing = np.zeros(0, np.int64)
    return SourceCounts(nothing, nothing, nothing, (), whole_weights, 0)


def _part_counts(whole_weights: bool) -> SourceCounts:
    """Return the source counts of a part; only `whole_weights` is used."""
    return _no_counts(whole_weights)


def places_among(words: Vocabulary, others: Vocabulary) -> Codes:
    """Return the code of each id in another vocabulary, shape (n,); -1 where it lacks the id.

    Both stand in the order of keys; ids with equal keys are compared.
    """
    code = np.full(len(words), -1, np.int32)
    at = np.searchsorted(others.keys, words.keys)
    left = np.flatnonzero(at < len(others))
    while len(left):
        left = left[others.keys[at[left]] == words.keys[left]]
        theirs, mine = others.ids.take(pa.array(at[left])), words.ids.take(pa.array(left))
        is_same = np.asarray(pc.equal(theirs.cast(mine.type), mine).to_numpy(zero_copy_only=False), np.bool_)
        code[left[is_same]] = at[left[is_same]]
        left = left[~is_same]  # another id with the same key may follow
        at[left] += 1
        left = left[at[left] < len(others)]
    return code


def chosen_rows(start: Int64, place: Codes) -> tuple[Int64, Int64]:
    """Choose some groups of rows that stand one after another.

    Args:
        start: Shape (n_groups + 1,), where each group starts.
        place: Shape (m,), groups; -1 for an empty one.

    Returns:
        Where each chosen group starts, shape (m + 1,), and the rows.
    """
    known = np.maximum(place, 0)
    first = start[known]
    size = np.where(place < 0, 0, start[known + 1] - first)
    begin = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    rows: Int64 = np.arange(begin[-1]) + np.repeat(first - begin[:-1], size)
    return begin, rows


def real_pairs_of(real: RealPairs, place: Codes) -> RealPairs:
    """Return the real pairs of some users, as `chosen_rows` takes them."""
    start, rows = chosen_rows(real.start, place)
    return RealPairs(start, real.item[rows])


def groups_of(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[tuple[int, pa.Table]]:
    """Give the rows of each value of an integer column, which rows are sorted by; one group is held at a time."""
    held: list[pa.RecordBatch] = []
    current: int | None = None
    for batch in batches:
        values = batch.column(column).to_numpy()
        ends = np.append(np.flatnonzero(np.diff(values)) + 1, len(values))
        first = 0
        for last in ends.tolist():
            if last == first:
                continue
            if current is not None and int(values[first]) != current:
                yield current, pa.Table.from_batches(held)
                held = []
            current = int(values[first])
            held.append(batch.slice(first, last - first))
            first = last
    if current is not None:
        yield current, pa.Table.from_batches(held)
