"""Finished pieces of long work, kept in a folder so that a run that was cut off goes on from them."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_ARRAY = "array"  # a mapping with this key alone stands for the array of that number
_SHAPE = "shape"  # holds the nested value with its arrays taken out, as the bytes of JSON


class Pieces:
    """Values by name: nested mappings, lists and plain values with NumPy arrays anywhere in them.

    Floats and arrays come back bit for bit. A file appears whole or not at all; one that is damaged counts as missing.
    Nothing in it is code: files are NumPy archives without pickles. Threads may share it.

    Args:
        folder: An existing folder; None to keep nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def get(self, name: str) -> Any:
        """Return the value of a name, sequences as lists; None where there is none."""
        if self._folder is None:
            return None
        try:
            file = self._folder / f"{name}.npz"
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                shape = json.loads(archive[_SHAPE].tobytes())
                return _filled(shape, archive)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, name: str, value: Any) -> None:
        """Keep a value under a name; replaces an earlier one.

        Raises:
            TypeError: If something in it is neither plain nor an array.
        """
        if self._folder is None:
            return
        arrays: list[np.ndarray[Any, Any]] = []
        shape = json.dumps(_emptied(value, arrays)).encode()
        named = {str(number): array for number, array in enumerate(arrays)}
        file = self._folder / f"{name}.npz"
        growing = file.with_suffix(".growing")
        with growing.open("wb") as stream:
            np.savez(stream, **{_SHAPE: np.frombuffer(shape, np.uint8)}, **named)  # type: ignore[arg-type]
        os.replace(growing, file)


def _emptied(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Return a value with its arrays moved to `arrays`."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("arrays of objects cannot be kept")
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, Mapping):
        return {str(key): _emptied(one, arrays) for key, one in value.items()}
    return [_emptied(one, arrays) for one in value] if isinstance(value, list | tuple) else value


def _filled(shape: Any, archive: Any) -> Any:
    if isinstance(shape, dict):
        if shape.keys() == {_ARRAY}:
            return archive[str(shape[_ARRAY])]
        return {key: _filled(one, archive) for key, one in shape.items()}
    return [_filled(one, archive) for one in shape] if isinstance(shape, list) else shape
