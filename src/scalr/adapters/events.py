"""What a model of any library trains on: real target events, and synthetic ones with the weights of scalr's training.

A run's folder holds its synthetic events and, in its manifest, where the target log stands, λ and κ. `read_run` puts
them together; `TrainingEvents.tables` gives the user's own columns, `TrainingEvents.batches` codes, both part by part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.adapters.parts import Parts, RowGroup, as_ids
from scalr.columns import find_columns
from scalr.config import TrainSettings
from scalr.domain import Codes, EventLog, ItemTable, Times, Vocabulary
from scalr.emit import to_type
from scalr.engines.files import is_text
from scalr.engines.hashes import typed_keys
from scalr.engines.local import BATCH_ROWS, Tabular, open_table, read_batches
from scalr.errors import ConfigError, InputError
from scalr.intake import MemoryIntake, Read, target_log
from scalr.items import read_items
from scalr.kernels.hashing import combine_keys
from scalr.output import read_manifest
from scalr.roles.column import plain_column
from scalr.roles.times import read_times
from scalr.scan import ScannedLog, scan
from scalr.schema import Columns
from scalr.times import from_microseconds
from scalr.train import Weights, kept_by_chance, shrunk_weights
from scalr.vocabulary import unify

ADDED = ("is_synthetic", "weight")
"""Columns that training tables have beyond those of the target log."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Positive events as codes; all real or all synthetic.

    Attributes:
        user: Shape (n,), codes into `TrainingEvents.users`.
        item: Shape (n,), codes into `TrainingEvents.items`.
        time: Shape (n,), microseconds since 1970 in UTC, or the plain order; None where the log has no time.
        weight: Shape (n,), above 0.
        key: Shape (n,), what randomness that belongs to an event is made from.
        is_synthetic: Whether the events are synthetic.
    """

    user: Codes
    item: Codes
    time: Times | None
    weight: Weights
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

    A real event weighs 1, or what the log's own weight column says; a synthetic one λ · its weight · κ / (κ + real
    events of its user). Events without weight are left out. With `thinned` a synthetic event stays with its weight, 1
    at most, as probability, and then weighs 1: the same seed keeps the same events.

    Attributes:
        name: Name of the run's folder.
        target: All real events, labels of 0 too; its users are those of the synthetic events as well.
        schema: Columns of the training tables: those of the target log, `is_synthetic`, `weight` (float32).
        settings: λ (`synthetic_weight`) and κ (`shrinkage`).
        seed: Chooses what thinning keeps, and negatives.
        thinned: Whether synthetic events are thinned instead of weighed.
        notes: Plain sentences on what the run's study found; worth showing.
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
        """The user's names of the target log's columns."""
        return self.target.columns

    def as_thinned(self) -> TrainingEvents:
        """Return the same events thinned, for a library without weights."""
        return replace(self, thinned=True)

    def tables(self) -> Iterator[pa.Table]:
        """Give tables of `schema`: real events as their files have them, then synthetic ones."""
        yield from self._real_tables()
        names = [one.name for one in self.schema if one.name not in ADDED]
        for read in self._parts.batches(names):
            kept, weight = self._weighed(read)
            yield self._table(read.select(names).filter(pa.array(kept)), weight[kept], is_synthetic=True)

    def batches(self) -> Iterator[Batch]:
        """Give positive events as codes: real ones by user and item, then synthetic ones as they are stored."""
        yield from self.real_batches()
        yield from self.synthetic_batches()

    def real_events(self) -> Batch:
        """Return the real events with label 1, by user and item."""
        log = self.target.positives()
        weight = np.ones(len(log), np.float32) if log.weight is None else log.weight
        return Batch(log.user, log.item, log.time, weight, log.keys(), is_synthetic=False).take(weight > 0)

    def real_batches(self) -> Iterator[Batch]:
        """Give the real events with label 1, by user and item."""
        whole = self.real_events()
        for first in range(0, len(whole), BATCH_ROWS):
            yield whole.take(np.arange(first, min(first + BATCH_ROWS, len(whole))))

    @property
    def row_groups(self) -> tuple[RowGroup, ...]:
        """Pieces of the part files that can be read by themselves."""
        return self._parts.row_groups

    def synthetic_batches(self, groups: Sequence[RowGroup] | None = None) -> Iterator[Batch]:
        """Give the synthetic events of some row groups, of all if None: one batch per read, which may be empty."""
        user, item, time = (getattr(self.columns, role) for role in ("user", "item", "time"))
        for read in self._parts.batches([name for name in (user, item, time) if name], groups):
            kept, weight = self._weighed(read)
            codes = self._users_of(read), _codes_of(self._ids(read[item], self.items), self.items)
            yield Batch(*codes, self._times(read), weight, _keys_of(read), is_synthetic=True).take(kept)

    def item_table(self) -> ItemTable | None:
        """Read the run's item table, by item code; None where the run had none.

        Raises:
            InputError: If it cannot be read any more.
        """
        given = self._reading.get("items")
        if not given:
            return None
        sources = tuple(_source_names(self._reading))
        nothing, _ = unify([pa.array([], pa.int64())] * len(sources), sources)
        names = [str(self.columns.item)]
        return read_items(
            given, self.items, nothing, names, as_text=self._reading.get("ids") == "string", drop_nulls=True
        )[0]

    def _weighed(self, read: pa.Table) -> tuple[npt.NDArray[np.bool_], Weights]:
        """Say which rows stay, and what all of them weigh."""
        weight = read["event_weight"].to_numpy()
        weight = shrunk_weights(weight, self._history[self._users_of(read)], self.settings)
        if not self.thinned:
            return weight.astype(np.float32) > 0, weight.astype(np.float32)
        return kept_by_chance(weight, _keys_of(read), self.seed), np.ones(len(weight), np.float32)

    def _users_of(self, read: pa.Table) -> Codes:
        return _codes_of(self._ids(read[str(self.columns.user)], self.users), self.users)

    def _ids(self, values: pa.ChunkedArray, words: Vocabulary) -> pa.Array:
        """Return ids in the type they are hashed in; text where the run read all ids as text."""
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
        """Return times of a format without types as the synthetic events have them."""
        unit = self.target.time_unit
        assert unit is not None
        named = {"order": "order", "integer": unit.unit}.get(unit.kind)
        column = plain_column(name, self._log.name, values, is_untyped=True)
        return from_microseconds(read_times(column, named)[0], unit)

    def _table(self, read: pa.Table, weight: Weights, *, is_synthetic: bool) -> pa.Table:
        columns = [
            to_type(read[one.name].combine_chunks(), one.type) if len(read) else pa.array([], one.type)
            for one in self.schema
            if one.name not in ADDED
        ]
        flag = pa.array(np.full(len(read), is_synthetic))
        return pa.Table.from_arrays([*columns, flag, pa.array(weight)], schema=self.schema)


def read_run(
    run: str | Path,
    *,
    target: Any = None,
    synthetic_weight: float | None = None,
    shrinkage: float | None = None,
    seed: int | None = None,
    thinned: bool = False,
) -> TrainingEvents:
    """Join the synthetic events of a run with the target log they were made for.

    Args:
        run: Output folder of `scalr generate` or `scalr run`, of either layout.
        target: The target log, where it has moved since or was a frame; else where the manifest says it is.
        synthetic_weight: λ; None for that of the run, which is what its study chose, or 0.3.
        shrinkage: κ; None for that of the run, infinity for no shrinkage.
        seed: Chooses what thinning keeps, and negatives; None for that of the run.
        thinned: Keep synthetic events with their weight as probability, each with weight 1.

    Raises:
        InputError: If the folder is no such output, or the target log is gone or has changed.
        ConfigError: If λ is negative or κ is not above 0.
    """
    folder = Path(run)
    manifest = read_manifest(folder)
    reading = manifest.get("settings") or {}
    train = _train_settings(reading, synthetic_weight, shrinkage)
    log = _scan_target(folder, manifest, target)
    schema = log.schema()
    parts = Parts.of(folder, log.columns, schema)
    drawn = parts.users()
    as_text = not pa.types.is_integer(log.users.type)
    users, (of_log, _) = unify([log.users, drawn.cast(pa.large_string()) if as_text else drawn])
    items, (of_items,) = unify([log.items])
    events = target_log(
        Read(log.intake, of_log, of_items, log.time_unit), users, items,
        name="target", columns=log.columns, schema=schema,
    )  # fmt: skip
    own = [pa.field(one.name, parts.type_of(one.name)) for one in schema if one.name.lower() not in ADDED]
    added = [pa.field("is_synthetic", pa.bool_()), pa.field("weight", pa.float32())]
    return TrainingEvents(
        name=folder.resolve().name,
        target=events,
        schema=pa.schema([*own, *added]),
        settings=train,
        seed=int(manifest["seed"]) if seed is None else seed,
        thinned=thinned,
        notes=_gate_notes(folder),
        _log=log.table,
        _parts=parts,
        _reading=reading,
        _history=np.bincount(events.positives().user, minlength=len(users)),
    )


def _train_settings(
    reading: Mapping[str, Any], synthetic_weight: float | None, shrinkage: float | None
) -> TrainSettings:
    given = reading.get("train") or {}
    values = {name: given[name] for name in ("synthetic_weight", "shrinkage", "negatives") if name in given}
    if synthetic_weight is not None:
        values["synthetic_weight"] = synthetic_weight
    if shrinkage is not None:
        values["shrinkage"] = None if shrinkage == np.inf else shrinkage
    return TrainSettings.parse(values, "the export")


def _scan_target(folder: Path, manifest: Mapping[str, Any], target: Any) -> ScannedLog:
    reading = manifest.get("settings") or {}
    entry = next((one for one in manifest.get("inputs") or () if one.get("role") == "target"), None)
    if entry is None:
        raise InputError(
            f"the manifest of '{folder}' names no target log",
            expected="the output of `scalr generate` or `scalr run`",
            fix="name such a folder",
        )
    given = reading.get("target") if target is None else target
    if not given or (
        isinstance(given, str) and entry["files"] and not all(Path(one).exists() for one in _paths(given, entry))
    ):
        raise InputError(
            f"the target log of '{folder}' is not at '{given}'" if given else f"'{folder}' was made from a frame",
            expected="the target log that the synthetic events were made for",
            fix="name it with --target FILES (in Python target=...)",
        )
    general, special = (_columns(reading.get(name)) for name in ("columns", "target_columns"))
    table = open_table(given, "target")
    columns = find_columns(table, general, special)
    log = scan(
        table, "target", "target", columns, MemoryIntake(),
        time_unit=reading.get("time_unit"), as_text=reading.get("ids") == "string",
        drop_nulls=bool(reading.get("drop_nulls")), progress=None,
    )  # fmt: skip
    if log.entry["digest"] != entry.get("digest"):
        raise InputError(
            f"the target log {table.name} is not the one that '{folder}' was made from: {log.entry['rows']:,} rows, "
            f"digest {log.entry['digest'][:12]}",
            expected=f"{entry.get('rows', 0):,} rows, digest {entry.get('digest', 'unknown')[:12]}",
            fix="name that log with --target, or generate anew from this one",
        )
    return log


def _paths(given: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the files that must be there: what was given itself, unless it is a glob."""
    return list(entry["files"]) if any(letter in given for letter in "*?[") else [given]


def _columns(values: Mapping[str, Any] | None) -> Columns:
    return Columns(**{role: values.get(role) for role, _ in Columns().roles()}) if values else Columns()


def _source_names(reading: Mapping[str, Any]) -> list[str]:
    source = reading.get("source")
    return sorted(source) if isinstance(source, Mapping) else ["source"]


def _gate_notes(folder: Path) -> tuple[str, ...]:
    """Return what the run's study decided: users for whom it did not show a gain."""
    file = folder / "evaluation.json"
    if not file.is_file():
        return ()
    gate = (json.loads(file.read_text(encoding="utf-8")).get("choice") or {}).get("gate") or ()
    closed = [str(one["segment"]) for one in gate if not one["open"]]
    if not closed:
        return ()
    return (
        f"The study's gate is closed for {' and '.join(closed)} users: it did not show that synthetic events help "
        "them. Serve them with a model of real events alone (--synthetic-weight 0).",
    )


def _keys_of(read: pa.Table) -> npt.NDArray[np.uint64]:
    """Return a key per event: of its source event and its draw."""
    source = read["source_event"].to_numpy().view(np.uint64)
    return combine_keys(source, read["draw"].to_numpy().astype(np.uint64))


def _codes_of(ids: pa.Array, words: Vocabulary) -> Codes:
    """Return the codes of ids, int64 or large_string, all of which the vocabulary has."""
    place = np.minimum(np.searchsorted(words.keys, typed_keys(ids)), max(len(words) - 1, 0)).astype(np.int32)
    is_same = pc.equal(words.ids.take(pa.array(place)).cast(ids.type), ids).to_numpy(zero_copy_only=False)
    if not is_same.all():  # two ids with one key, or an id that is not there
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
