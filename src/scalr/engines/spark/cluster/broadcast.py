"""Hand values to tasks. To every machine once: arrays lie in one file there, which all tasks map into memory."""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

Value = TypeVar("Value")
_ALIGNED = 64  # bytes: where an array begins, as Arrow recommends
_KEPT = 4  # values that a Python worker keeps open
_opened: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Shipped(Generic[Value]):
    """A value in the hands of Spark.

    Attributes:
        name: A name that no other value has.
        head: The value without its arrays.
        places: Where each array starts in the file, and how long it is.
        body: The broadcast arrays.
        nbytes: Size of the file.
    """

    name: str
    head: bytes
    places: tuple[tuple[int, int], ...]
    body: Any
    nbytes: int

    def open(self) -> Value:
        """Return the value, in a task; its arrays are copied nowhere until they are written to."""
        if self.name not in _opened:
            while len(_opened) >= _KEPT:
                del _opened[next(iter(_opened))]
            _opened[self.name] = pickle.loads(self.head, buffers=self._buffers())
        return cast(Value, _opened[self.name])

    def release(self) -> None:
        """Let all machines forget the value; on the driver, once no frame needs it any more."""
        self.body.destroy()

    def _buffers(self) -> list[memoryview]:
        from pyspark import SparkFiles

        file = Path(SparkFiles.getRootDirectory()) / f"scalr-{self.name}"
        if not file.exists():
            self._write(file)
        if not self.nbytes:
            return [memoryview(bytearray(0)) for _ in self.places]
        with file.open("rb") as opened:
            whole = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY))
        return [whole[start : start + size] for start, size in self.places]

    def _write(self, file: Path) -> None:
        """Write the file under another name first: tasks of several processes may do it at once."""
        handle, partial = tempfile.mkstemp(prefix=f"{file.name}-", dir=file.parent)
        with os.fdopen(handle, "wb") as opened:
            for (start, _), array in zip(self.places, self.body.value, strict=True):
                opened.seek(start)
                opened.write(array)
            opened.truncate(self.nbytes)
        os.replace(partial, file)


Ship = Callable[[Any], Shipped[Any]]
"""Hands a value to Spark."""


def packed(value: Any) -> bytes:
    """Return a value as bytes that a task hands on to a later task."""
    return pickle.dumps(value, protocol=5)


def unpacked(given: bytes) -> Any:
    """Return what `packed` was given."""
    return pickle.loads(given)


def ship(context: Any, value: Value) -> Shipped[Value]:
    """Hand a value to Spark, on the driver.

    Args:
        context: The SparkContext.
        value: Anything that can be pickled; arrays of NumPy and Arrow are not copied into every process.
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    places, end = [], 0
    for buffer in buffers:
        size = buffer.raw().nbytes
        places.append((end, size))
        end += -(-size // _ALIGNED) * _ALIGNED
    body = context.broadcast([bytes(buffer.raw()) for buffer in buffers])
    return Shipped(uuid.uuid4().hex, head, tuple(places), body, end)
