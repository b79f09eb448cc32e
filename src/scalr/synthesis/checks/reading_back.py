"""Read synthetic rows from files and map their ids to codes of the logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Int64, Mask, SchemaError
from scalr.logs import StoredPair, Tabular, Vocabulary, open_table, read_columns

UNKNOWN = -1
"""Code of an id that is missing from the logs."""

_OURS = ("weight", "confidence", "support", "source_item", "source_event", "draw")
_MARKS = ("is_synthetic", "source_domain", "generation_id")


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """Rows as written, shape (n,) each, before any check.

    Attributes:
        user: Codes of users, or `UNKNOWN`.
        item: Codes of target items, or `UNKNOWN`.
        source_item: Codes of source items, or `UNKNOWN`.
        time: Times as written; None without a time column.
        weight: Weights; NaN for null, like the next one.
        confidence: Confidence.
        support: Support; `UNKNOWN` for null, like the next two.
        source_event: Numbers of source events.
        draw: Numbers of draws.
        is_positive: False for negative rows (label 0).
        is_marked: Whether `is_synthetic` is true; None in layout `compact`, which lacks that column.
        generation: Distinct values of `generation_id`; None in layout `compact`.
    """

    user: Codes
    item: Codes
    source_item: Codes
    time: pa.ChunkedArray | None
    weight: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float32]
    support: Int64
    source_event: Int64
    draw: Int64
    is_positive: Mask
    is_marked: Mask | None
    generation: tuple[str | None, ...] | None

    def __len__(self) -> int:
        return len(self.user)


def read_released(given: Any, pair: StoredPair, dictionaries: Path | None = None) -> Released:
    """Read synthetic rows.

    Args:
        given: File, glob, folder or frame, in layout `target`, or in layout `compact` with `dictionaries`.
        pair: The logs, which define the codes.
        dictionaries: Folder of the dictionaries of layout `compact`.

    Raises:
        SchemaError: If a column is missing or has a wrong type.
    """
    opened = open_table(given, "synthetic")
    is_compact = dictionaries is not None
    names = dict(pair.target.columns.roles()) if not is_compact else {}
    role = {one: names.get(one) or one for one in ("user", "item", "time", "label", "weight")}
    needed = [role["user"], role["item"], *(role["weight"] if one == "weight" else one for one in _OURS)]
    needed += [] if is_compact else list(_MARKS)
    _refuse_missing(opened, needed)
    timed = role["time"] if pair.source.time is not None and role["time"] in opened.schema.names else None
    labelled = role["label"] if (is_compact or names.get("label")) and role["label"] in opened.schema.names else None
    table = read_columns(opened, list(dict.fromkeys([*needed, *filter(None, (timed, labelled))])))
    try:
        if dictionaries is not None:
            user = _codes(_dictionary(dictionaries, "users")["id"].take(table["user"]), pair.target.users)
            item = _codes(_dictionary(dictionaries, "items")["id"].take(table["item"]), pair.target.items)
            looked_up = _dictionary(dictionaries, "source_items", "domain").take(table["source_item"])
            source_item = _source_codes(looked_up["id"], looked_up["domain"], pair.source.items)
        else:
            user, item = _codes(table[role["user"]], pair.target.users), _codes(table[role["item"]], pair.target.items)
            source_item = _source_codes(table["source_item"], table["source_domain"], pair.source.items)
        return Released(
            user=user,
            item=item,
            source_item=source_item,
            time=None if timed is None else table[timed],
            weight=_numbers(table[role["weight"]], pa.float64(), np.nan),
            confidence=_numbers(table["confidence"], pa.float32(), np.nan),
            support=_numbers(table["support"], pa.int64(), UNKNOWN),
            source_event=_numbers(table["source_event"], pa.int64(), UNKNOWN),
            draw=_numbers(table["draw"], pa.int64(), UNKNOWN),
            is_positive=np.ones(len(table), np.bool_)
            if labelled is None
            else _numbers(table[labelled], pa.float64(), np.nan) != 0,
            is_marked=None if is_compact else _numbers(table["is_synthetic"], pa.bool_(), False),
            generation=None if is_compact else tuple(pc.unique(table["generation_id"]).to_pylist()),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowIndexError) as error:
        raise SchemaError(
            f"{opened.name} has a column of a wrong type: {error}",
            expected="columns as scalr writes them",
            fix="name files of scalr generate or run",
        ) from error


def _dictionary(folder: Path, name: str, *more: str) -> pa.Table:
    opened = open_table(str(folder / f"{name}.parquet"), name)
    _refuse_missing(opened, ["id", *more])
    return read_columns(opened, ["id", *more])


def _refuse_missing(opened: Tabular, needed: list[str]) -> None:
    missing = [name for name in needed if name not in opened.schema.names]
    if missing:
        raise SchemaError(
            f"{opened.name} has no column '{missing[0]}' (it has {', '.join(opened.schema.names)})",
            expected=f"synthetic rows with {', '.join(needed)}",
            fix="name files that scalr wrote, and the target log of that run",
        )


def _numbers(column: pa.ChunkedArray, kind: pa.DataType, null: Any) -> Any:
    return column.cast(kind).fill_null(null).to_numpy()


def _codes(ids: pa.ChunkedArray, words: Vocabulary) -> Codes:
    """Return the codes of ids, shape (n,)."""
    kind = ids.type.value_type if pa.types.is_dictionary(ids.type) else ids.type
    try:
        plain = ids.cast(kind).cast(words.ids.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return np.full(len(ids), UNKNOWN, np.int32)
    codes: Codes = pc.index_in(plain, value_set=words.ids).fill_null(UNKNOWN).to_numpy().astype(np.int32)
    return codes


def _source_codes(ids: pa.ChunkedArray, domain: pa.ChunkedArray, words: Vocabulary) -> Codes:
    """Return the codes of source items; an id may occur in several domains."""
    code = np.full(len(ids), UNKNOWN, np.int32)
    names = domain.cast(pa.string())
    for number, name in enumerate(words.domains):
        members = np.flatnonzero(words.domain == number).astype(np.int32)
        ids_of_domain = words.ids.take(pa.array(members))
        place = _codes(ids, Vocabulary(ids_of_domain, words.keys[members], words.domain[members], words.domains))
        here = pc.equal(names, name).fill_null(False).to_numpy() & (place >= 0)
        code[here] = members[place[here]]
    return code
