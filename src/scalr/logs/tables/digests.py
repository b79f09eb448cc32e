"""Keys of ids, and digests of files and frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Bytes, Int64, Keys, hashing
from scalr.logs.tables.duckdb_sql import run_query
from scalr.logs.tables.files import is_text

_NULL_KEY = np.uint64(0x9E6C63D0876A9A47)  # key of a null in digests; an arbitrary odd constant


def typed_keys(ids: pa.Array) -> Keys:
    """Hash ids without nulls, int64 or text, to 64-bit keys, shape (n,); the integer 7 and the text "7" are equal."""
    if pa.types.is_integer(ids.type):
        return hashing.integer_keys(ids.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return hashing.string_keys(*text_layout(ids))


def files_digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a file, or of the sorted digests of several files; file names do not matter."""
    digests = sorted(file_digest(file) for file in files)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def table_digest(columns: pa.Table) -> str:
    """Return the SHA-256 of the sorted hashes of the rows; the order of rows and columns does not matter."""
    rows = np.zeros(len(columns), np.uint64)
    for name in sorted(columns.column_names):
        rows = hashing.combine_keys(rows, _cell_keys(columns[name]))
    header = "\n".join(sorted(columns.column_names)).encode()
    return hashlib.sha256(header + np.sort(rows).astype("<u8").tobytes()).hexdigest()


def text_layout(texts: pa.Array) -> tuple[Bytes, Int64]:
    """Return the bytes of strings, one after another, and their offsets, shape (n + 1,), without copying them."""
    plain = texts if pa.types.is_large_string(texts.type) or pa.types.is_string(texts.type) else _large(texts)
    _, offsets, data = plain.buffers()
    if not len(plain):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    width = np.int64 if pa.types.is_large_string(plain.type) else np.int32
    starts = np.frombuffer(offsets, width)[plain.offset : plain.offset + len(plain) + 1].astype(np.int64, copy=False)
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), starts


def _large(texts: pa.Array) -> pa.Array:
    return texts.cast(pa.large_string())


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _cell_keys(column: pa.ChunkedArray) -> Keys:
    """Return a key per value, shape (n,): of an integer itself, else of its text; nulls have a fixed key."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # columns too long for one array of their type
        return np.concatenate([_cell_keys(pa.chunked_array([chunk])) for chunk in array.chunks])
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(array.type) and not pa.types.is_uint64(array.type):
        filled = pc.fill_null(array, 0)
    else:
        filled = pc.fill_null(_as_text(array), "")
    return np.where(is_null, _NULL_KEY, typed_keys(filled))


def _as_text(array: pa.Array) -> pa.Array:
    if is_text(array.type):
        return array.cast(pa.large_string())
    texts = run_query("SELECT CAST(value AS VARCHAR) AS text FROM data", data=pa.table({"value": array}))["text"]
    return texts.cast(pa.large_string()).combine_chunks()
