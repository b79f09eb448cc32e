"""Checkpoints: results of finished steps in a folder, from which an interrupted run resumes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_ARRAY = "array"  # a mapping with this key alone is a reference to the array of that number
_STRUCTURE = "shape"  # entry with the nested value, arrays replaced by references, as the bytes of JSON


class Checkpoints:
    """Values by name: nested mappings, lists and plain values that may contain NumPy arrays.

    Floats and arrays are restored bit for bit. A file is written completely or not at all; a damaged file counts as
    missing. Files are NumPy archives without pickles, so loading one executes no code. Threads may share an instance.

    Args:
        folder: An existing folder; None to store nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def get(self, name: str) -> Any:
        """Return the value of a name, with sequences as lists; None if there is none."""
        if self._folder is None:
            return None
        try:
            file = self._folder / f"{name}.npz"
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                return _with_arrays(json.loads(archive[_STRUCTURE].tobytes()), archive)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, name: str, value: Any) -> None:
        """Store a value under a name, in place of an earlier value.

        Raises:
            TypeError: If a part of the value is neither plain nor an array of plain values.
        """
        if self._folder is None:
            return
        arrays: list[np.ndarray[Any, Any]] = []
        structure = json.dumps(_without_arrays(value, arrays)).encode()
        entries = {str(number): array for number, array in enumerate(arrays)}
        file = self._folder / f"{name}.npz"
        growing = file.with_suffix(".growing")
        with growing.open("wb") as stream:
            np.savez(stream, **{_STRUCTURE: np.frombuffer(structure, np.uint8)}, **entries)  # type: ignore[arg-type]
        os.replace(growing, file)


def _without_arrays(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Return a value with references in place of its arrays, which are appended to `arrays`."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("arrays of objects cannot be stored")
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(item, arrays) for key, item in value.items()}
    return [_without_arrays(item, arrays) for item in value] if isinstance(value, list | tuple) else value


def _with_arrays(structure: Any, archive: Any) -> Any:
    if isinstance(structure, dict):
        if structure.keys() == {_ARRAY}:
            return archive[str(structure[_ARRAY])]
        return {key: _with_arrays(item, archive) for key, item in structure.items()}
    return [_with_arrays(item, archive) for item in structure] if isinstance(structure, list) else structure
