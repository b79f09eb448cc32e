"""Read a finished run for training: its target log, its synthetic events and their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scalr.adapters.part_files import Parts
from scalr.adapters.training_events import ADDED, TrainingEvents
from scalr.foundation import InputError, TrainSettings
from scalr.logs import (
    CollectedEvents,
    CollectedLog,
    Columns,
    MemoryBuffer,
    ReadRules,
    ScannedLog,
    find_columns,
    open_table,
    scan,
    target_log,
    unify,
)
from scalr.runs import read_manifest


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
        target: The target log, if it has moved or was a frame; None for the path in the manifest.
        synthetic_weight: λ; None for that of the run: chosen by its study, or 0.3.
        shrinkage: κ; None for that of the run, infinity for no shrinkage.
        seed: Seed of thinning and negatives; None for that of the run.
        thinned: Keep synthetic events with their weight as probability, and give each the weight 1.

    Raises:
        InputError: If the folder is not such an output, or the target log is missing or has changed.
        ConfigError: If λ is negative or κ is not above 0.
    """
    folder = Path(run)
    manifest = read_manifest(folder)
    reading = manifest.get("settings") or {}
    train = _train_settings(reading, synthetic_weight, shrinkage)
    log = _scan_target(folder, manifest, target)
    schema = log.schema()
    parts = Parts.from_run(folder, log.columns, schema)
    drawn = parts.users()
    as_text = not pa.types.is_integer(log.users.type)
    users, (of_log, _) = unify([log.users, drawn.cast(pa.large_string()) if as_text else drawn])
    items, (of_items,) = unify([log.items])
    collected = CollectedEvents(log.buffer, of_log, of_items, log.time_unit)
    events = target_log(CollectedLog([collected], users, items, "target", log.columns, schema))
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
            fix="name the folder of a generation or run",
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
    general, special = (Columns.from_settings(reading.get(name)) for name in ("columns", "target_columns"))
    table = open_table(given, "target")
    columns = find_columns(table, general, special)
    rules = ReadRules(reading.get("time_unit"), reading.get("ids") == "string", bool(reading.get("drop_nulls")))
    log = scan(table, "target", columns, MemoryBuffer(), rules)
    if log.entry["digest"] != entry.get("digest"):
        raise InputError(
            f"the target log {table.name} is not the one that '{folder}' was made from: {log.entry['rows']:,} rows, "
            f"digest {log.entry['digest'][:12]}",
            expected=f"{entry.get('rows', 0):,} rows, digest {entry.get('digest', 'unknown')[:12]}",
            fix="name that log with --target, or generate again from this log",
        )
    return log


def _paths(given: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the files that must exist: the path itself, or the files that a glob matched."""
    return list(entry["files"]) if any(letter in given for letter in "*?[") else [given]


def _gate_notes(folder: Path) -> tuple[str, ...]:
    """Return a note on user segments for which the study of the run closed the gate."""
    file = folder / "evaluation.json"
    if not file.is_file():
        return ()
    gate = (json.loads(file.read_text(encoding="utf-8")).get("choice") or {}).get("gate") or ()
    closed = [str(one["segment"]) for one in gate if not one["open"]]
    if not closed:
        return ()
    return (
        f"The study's gate is closed for {' and '.join(closed)} users: it did not show that synthetic events help "
        "them. Serve them with a model of real events only (--synthetic-weight 0).",
    )
