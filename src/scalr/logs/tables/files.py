"""Files of a path, glob or folder: their format and their columns."""

from __future__ import annotations

import csv
import glob
import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from scalr.foundation import InputError, SchemaError, system_error

FORMATS = {".parquet": "Parquet", ".pq": "Parquet", ".csv": "CSV", ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON"}
_MAX_HEADER = 1 << 20  # characters of the first line of a CSV file
_MAX_COLUMNS = 10_000  # per log; readers take minutes for more columns
EXPECTED_FILES = "a Parquet, CSV (also .gz) or JSON lines file, a glob, or a folder of one of them"


def find_files(path: str) -> tuple[tuple[Path, ...], str]:
    """Return the files of a path, glob or folder, sorted, and their format.

    In a folder, files with other suffixes and files below names that start with "." or "_" are skipped.

    Raises:
        InputError: If there is no file, or the formats are unknown or mixed.
    """
    if not path:
        raise InputError("a log is named '' (nothing)", expected=EXPECTED_FILES, fix="name the file")
    files = _files_of(path)
    if odd := next((file for file in files if not _is_unicode(str(file))), None):
        raise InputError(
            f"the name of file '{odd}' is not UTF-8",
            expected="names of files and folders in UTF-8",
            fix="rename the file, or its folder",
        )
    formats = {file: _format(file) for file in files}
    unknown = next((file for file, format_ in formats.items() if not format_), None)
    if unknown is not None:
        suffix = "".join(unknown.suffixes[-2:]) or "none"
        raise InputError(
            f"file '{unknown}' has the unknown suffix '{suffix}'",
            expected=f"one of {', '.join(FORMATS)}; CSV and JSON also with .gz",
            fix="convert the file, or rename it if it has one of these formats",
        )
    if len(set(formats.values())) > 1:
        raise InputError(
            f"'{path}' holds files of several formats: {', '.join(sorted(set(formats.values())))}",
            expected="files of one format",
            fix="name them with a glob, such as 'folder/*.parquet'",
        )
    return tuple(files), formats[files[0]]


def _files_of(path: str) -> list[Path]:
    """Return at least one file, sorted."""
    place = Path(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        files = [file for file in _files_below(place) if _format(file) and not _is_hidden(file.relative_to(place))]
    elif glob.has_magic(path):
        files = sorted(Path(match) for match in glob.glob(path, recursive=True) if Path(match).is_file())
    else:
        near = f" in '{place.parent}'" if place.parent.is_dir() else ""
        raise InputError(f"there is no file '{path}'", expected=EXPECTED_FILES, fix=f"check the path{near}")
    if not files:
        kind = "folder" if place.is_dir() else "glob"
        raise InputError(
            f"{kind} '{path}' matches no file", expected=EXPECTED_FILES, fix=f"check the {kind}, or name a file"
        )
    return files


def _files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted; a subfolder that cannot be read is an error."""

    def refuse(error: OSError) -> None:
        raise system_error(error, str(folder)) from error

    walk = os.walk(folder, onerror=refuse)
    return sorted(file for below, _, names in walk for name in names if (file := Path(below) / name).is_file())


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _format(file: Path) -> str:
    name = file.name.lower()
    is_packed = name.endswith(".gz")
    format_ = FORMATS.get(Path(name.removesuffix(".gz")).suffix, "")
    return "" if is_packed and format_ == "Parquet" else format_


def damaged(name: str, format_: str, error: BaseException) -> SchemaError:
    """Return the error for a file that cannot be read, with the first paragraph of the reader's message."""
    return SchemaError(
        f"{name} cannot be read as {format_}: {first_lines(error)[:240]}",
        expected=EXPECTED_FILES,
        fix="write the file again",
    )


def first_lines(error: BaseException) -> str:
    """Return the first paragraph of an error message, as a single line."""
    return " ".join(str(error).split("\n\n")[0].split())


def check_column_names(names: Sequence[str], table: str) -> None:
    """Refuse column names that SQL cannot distinguish, and too many columns.

    Args:
        names: The column names.
        table: How errors name the table.

    Raises:
        SchemaError: If two names are equal or differ only in case, or there are too many.
    """
    if len(names) > _MAX_COLUMNS:
        raise SchemaError(
            f"{table} has {len(names):,} columns",
            expected=f"at most {_MAX_COLUMNS:,} columns",
            fix="write a log with a row per event, and remove other columns",
        )
    seen: dict[str, str] = {}
    for name in names:
        if (earlier := seen.get(name.lower())) is not None:
            how = "twice" if earlier == name else f"beside '{earlier}', which differs only in case"
            raise SchemaError(
                f"{table} has a column '{name}' {how}", expected="column names that differ", fix="rename one of the two"
            )
        seen[name.lower()] = name


def _open_text(file: Path) -> TextIO:
    if file.suffix.lower() == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def csv_header(file: Path) -> tuple[str, list[str]]:
    """Return the delimiter (the most frequent of , ; tab | in the first line) and the column names.

    Raises:
        SchemaError: If the first line cannot be read, is too long, or leaves a column without a name.
    """
    try:
        with _open_text(file) as opened:
            line = opened.readline(_MAX_HEADER)
        delimiter = max(",;\t|", key=line.count)
        names = next(csv.reader([line], delimiter=delimiter), [])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise damaged(str(file), "CSV", error) from error
    if len(line) == _MAX_HEADER:
        raise SchemaError(
            f"the first line of '{file}' is longer than {_MAX_HEADER:,} characters",
            expected="a line with the names of the columns",
            fix="check that this is a CSV file with a header",
        )
    if not all(names) or not names:
        where = (
            f"column {names.index('') + 1} of '{file}' has no name" if names else f"the first line of '{file}' is blank"
        )
        raise SchemaError(
            where,
            expected="a line with the names of all columns",
            fix="name the column (pandas writes an index without a name unless index=False)",
        )
    return delimiter, names


def check_alike(first: pa.Schema, other: pa.Schema, first_file: Path, file: Path) -> None:
    """Refuse files of a log whose columns differ in name, or in kind (number, text, time).

    Args:
        first: Schema of the first file.
        other: Schema of another file.
        first_file: The first file.
        file: The other file.

    Raises:
        SchemaError: If they differ.
    """
    fix = "write all files of one log with the same columns"
    if differing := sorted(set(first.names) ^ set(other.names)):
        raise SchemaError(
            f"column '{differing[0]}' is in only one of '{first_file}' and '{file}'",
            expected="the same columns in all files",
            fix=fix,
        )
    for name in first.names:
        kinds = _kind(first.field(name).type), _kind(other.field(name).type)
        if kinds[0] != kinds[1]:
            raise SchemaError(
                f"column '{name}' is {kinds[0]} in '{first_file}' but {kinds[1]} in '{file}'",
                expected="the same types in all files",
                fix=fix,
            )


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_integer(type_):
        return "an integer"
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "a number with decimals"
    return "text" if is_text(type_) else str(type_).split("[")[0]


def is_text(type_: pa.DataType) -> bool:
    """Return whether values of this type are text."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))
