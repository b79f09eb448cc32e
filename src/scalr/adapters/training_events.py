"""Training data for any library: real target events, and synthetic events with their training weights.

The folder of a run holds its synthetic events; its manifest has the path of the target log, λ and κ. `read_run`
combines them. `TrainingEvents.tables` yields the columns of the user and `TrainingEvents.batches` codes, part by part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.adapters.part_files import Parts, RowGroup, as_ids
from scalr.foundation import Codes, ConfigError, Singles, Times, TrainSettings, combine_keys
from scalr.logs import (
    BATCH_ROWS,
    Columns,
    EventLog,
    ItemTable,
    ReadRules,
    Tabular,
    Vocabulary,
    from_microseconds,
    is_text,
    plain_column,
    read_batches,
    read_items,
    read_times,
    typed_keys,
    unify,
)
from scalr.synthesis import kept_by_chance, shrunk_weights, to_type

ADDED = ("is_synthetic", "weight")
"""Columns of training tables that the target log does not have."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Positive events as codes; all real or all synthetic.

    Attributes:
        user: Shape (n,), codes into `TrainingEvents.users`.
        item: Shape (n,), codes into `TrainingEvents.items`.
        time: Shape (n,), microseconds since 1970 in UTC, or the plain order; None where the log has no time.
        weight: Shape (n,), above 0.
        key: Shape (n,), the key of the randomness of an event.
        is_synthetic: Whether the events are synthetic.
    """

    user: Codes
    item: Codes
    time: Times | None
    weight: Singles
    key: npt.NDArray[np.uint64]
    is_synthetic: bool

    def __len__(self) -> int:
        return len(self.user)

    def take(self, keep: npt.NDArray[Any]) -> Batch:
        """Return the events where `keep`, shape (n,), is true, or the rows it numbers."""
        time = None if self.time is None else self.time[keep]
        return Batch(
            self.user[keep], self.item[keep], time, self.weight[keep], self.key[keep], is_synthetic=self.is_synthetic
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrainingEvents:
    """Real target events and weighted synthetic ones.

    A real event has the weight 1, or that of the weight column of the log; a synthetic event has λ · its weight ·
    κ / (κ + real events of its user). Events of weight 0 are omitted. With `thinned` a synthetic event is kept with its
    weight, at most 1, as probability, and then has the weight 1; the same seed keeps the same events.

    Attributes:
        name: Name of the run's folder.
        target: All real events, including label 0; its users include those of the synthetic events.
        schema: Columns of the training tables: those of the target log, `is_synthetic`, `weight` (float32).
        settings: λ (`synthetic_weight`) and κ (`shrinkage`).
        seed: Seed of thinning and negatives.
        thinned: Whether synthetic events are thinned instead of weighted.
        notes: Sentences on the findings of the study, to be shown.
    """

    name: str
    target: EventLog
    schema: pa.Schema
    settings: TrainSettings
    seed: int
    thinned: bool
    notes: tuple[str, ...]
    _log: Tabular
    _parts: Parts
    _reading: Mapping[str, Any]
    _history: npt.NDArray[np.int64] = field(repr=False)

    @property
    def users(self) -> Vocabulary:
        """Ids of users, by code."""
        return self.target.users

    @property
    def items(self) -> Vocabulary:
        """Ids of target items, by code."""
        return self.target.items

    @property
    def columns(self) -> Columns:
        """Column names of the target log by role."""
        return self.target.columns

    def as_thinned(self) -> TrainingEvents:
        """Return the same events thinned, for a library without weights."""
        return replace(self, thinned=True)

    def tables(self) -> Iterator[pa.Table]:
        """Yield tables of `schema`: real events in the order of their files, then synthetic events."""
        yield from self._real_tables()
        names = [one.name for one in self.schema if one.name not in ADDED]
        for read in self._parts.batches(names):
            kept, weight = self._weighted(read)
            yield self._table(read.select(names).filter(pa.array(kept)), weight[kept], is_synthetic=True)

    def batches(self) -> Iterator[Batch]:
        """Yield positive events as codes: real events by user and item, then synthetic events in stored order."""
        yield from self.real_batches()
        yield from self.synthetic_batches()

    def real_events(self) -> Batch:
        """Return the real events with label 1, by user and item."""
        log = self.target.positives()
        weight = np.ones(len(log), np.float32) if log.weight is None else log.weight
        return Batch(log.user, log.item, log.time, weight, log.keys(), is_synthetic=False).take(weight > 0)

    def real_batches(self) -> Iterator[Batch]:
        """Yield the real events with label 1, by user and item."""
        whole = self.real_events()
        for first in range(0, len(whole), BATCH_ROWS):
            yield whole.take(np.arange(first, min(first + BATCH_ROWS, len(whole))))

    @property
    def row_groups(self) -> tuple[RowGroup, ...]:
        """Row groups of the part files."""
        return self._parts.row_groups

    def synthetic_batches(self, groups: Sequence[RowGroup] | None = None) -> Iterator[Batch]:
        """Yield the synthetic events of some row groups (None: of all), one batch per read, which may be empty."""
        user, item, time = (getattr(self.columns, role) for role in ("user", "item", "time"))
        for read in self._parts.batches([name for name in (user, item, time) if name], groups):
            kept, weight = self._weighted(read)
            codes = self._users_of(read), _codes_of(self._ids(read[item], self.items), self.items)
            yield Batch(*codes, self._times(read), weight, _keys_of(read), is_synthetic=True).take(kept)

    def item_table(self) -> ItemTable | None:
        """Read the item table of the run, by item code; None if the run had none.

        Raises:
            InputError: If the item table cannot be read.
        """
        given = self._reading.get("items")
        if not given:
            return None
        sources = tuple(source_names(self._reading))
        nothing, _ = unify([pa.array([], pa.int64())] * len(sources), sources)
        names = [str(self.columns.item)]
        rules = ReadRules(as_text=self._reading.get("ids") == "string", drop_nulls=True)
        return read_items(given, self.items, nothing, names, rules)[0]

    def _weighted(self, read: pa.Table) -> tuple[npt.NDArray[np.bool_], Singles]:
        """Return which rows are kept, and the weights of all rows."""
        weight = read["event_weight"].to_numpy()
        weight = shrunk_weights(weight, self._history[self._users_of(read)], self.settings)
        if not self.thinned:
            return weight.astype(np.float32) > 0, weight.astype(np.float32)
        return kept_by_chance(weight, _keys_of(read), self.seed), np.ones(len(weight), np.float32)

    def _users_of(self, read: pa.Table) -> Codes:
        return _codes_of(self._ids(read[str(self.columns.user)], self.users), self.users)

    def _ids(self, values: pa.ChunkedArray, words: Vocabulary) -> pa.Array:
        """Return ids in the type of their keys; text if the run read all ids as text."""
        ids = as_ids(values)
        return ids.cast(pa.large_string()) if not pa.types.is_integer(words.ids.type) else ids

    def _times(self, read: pa.Table) -> Times | None:
        name, unit = self.columns.time, self.target.time_unit
        if not name or unit is None:
            return None
        named = {"order": "order", "integer": unit.unit}.get(unit.kind)
        return read_times(plain_column(name, "the synthetic events", read[name]), named, unit.type)[0]

    def _real_tables(self) -> Iterator[pa.Table]:
        names = [one.name for one in self.schema if one.name not in ADDED]
        roles = {name: role for role, name in self.columns.roles() if name}
        wanted = list(dict.fromkeys([*names, *roles]))
        is_untyped = self._log.format in ("CSV", "JSON")
        timed = self.columns.time if is_untyped else None
        kinds = {name: self.schema.field(name).type for name in names}
        as_text = [
            name for name in wanted if is_untyped and (roles.get(name) in ("user", "item", "time") or
            is_text(kinds.get(name, pa.null())))
        ]  # fmt: skip
        for read in read_batches(self._log, wanted, as_text=as_text):
            if self._reading.get("drop_nulls"):
                lacks = [plain_column(name, self._log.name, read[name]).missing() for name in roles]
                read = read.filter(pa.array(~np.logical_or.reduce(lacks)))
            if timed:
                place = read.column_names.index(timed)
                read = read.set_column(place, timed, self._written_time(read[timed], timed))
            weight = np.ones(len(read), np.float32)
            if self.columns.weight:
                weight = pc.cast(read[self.columns.weight], pa.float32(), safe=False).to_numpy()
            table = self._table(read.select(names), weight, is_synthetic=False)
            yield table.filter(pa.array(weight > 0)) if self.columns.weight else table

    def _written_time(self, values: pa.ChunkedArray, name: str) -> pa.Array:
        """Return times of an untyped format in the type of the synthetic events."""
        unit = self.target.time_unit
        assert unit is not None
        named = {"order": "order", "integer": unit.unit}.get(unit.kind)
        column = plain_column(name, self._log.name, values, is_untyped=True)
        return from_microseconds(read_times(column, named)[0], unit)

    def _table(self, read: pa.Table, weight: Singles, *, is_synthetic: bool) -> pa.Table:
        columns = [
            to_type(read[one.name].combine_chunks(), one.type) if len(read) else pa.array([], one.type)
            for one in self.schema
            if one.name not in ADDED
        ]
        flag = pa.array(np.full(len(read), is_synthetic))
        return pa.Table.from_arrays([*columns, flag, pa.array(weight)], schema=self.schema)


def _keys_of(read: pa.Table) -> npt.NDArray[np.uint64]:
    """Return a key per event, from its source event and its draw."""
    source = read["source_event"].to_numpy().view(np.uint64)
    return combine_keys(source, read["draw"].to_numpy().astype(np.uint64))


def _codes_of(ids: pa.Array, words: Vocabulary) -> Codes:
    """Return the codes of ids, int64 or large_string, which must all be in the vocabulary."""
    place = np.minimum(np.searchsorted(words.keys, typed_keys(ids)), max(len(words) - 1, 0)).astype(np.int32)
    is_same = pc.equal(words.ids.take(pa.array(place)).cast(ids.type), ids).to_numpy(zero_copy_only=False)
    if not is_same.all():  # two ids with the same key, or an unknown id
        wrong = np.flatnonzero(~is_same)
        found = pc.index_in(ids.take(pa.array(wrong)), value_set=words.ids.cast(ids.type))
        if found.null_count:
            stranger = ids[int(wrong[pc.is_null(found).to_numpy(zero_copy_only=False)][0])].as_py()
            raise ConfigError(
                f"the synthetic events have the id {stranger!r}, which the target log does not have",
                expected="the target log that the synthetic events were made for",
                fix="name it with --target",
            )
        place[wrong] = found.to_numpy()
    return place


def source_names(reading: Mapping[str, Any]) -> list[str]:
    """Return the names of the source logs that a run read, sorted."""
    source = reading.get("source")
    return sorted(source) if isinstance(source, Mapping) else ["source"]
