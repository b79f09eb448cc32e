"""Broadcast values to tasks: once per machine, as one file of arrays that all tasks map into memory."""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

Value = TypeVar("Value")
_ALIGNMENT = 64  # bytes, of the start of an array, as Arrow recommends
_CACHED = 4  # values that a Python worker keeps open
_opened: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class BroadcastValue(Generic[Value]):
    """A value that was broadcast.

    Attributes:
        name: A unique name.
        head: The pickled value without its arrays.
        places: Start and length of each array in the file, in bytes.
        body: The arrays, as a broadcast of Spark.
        nbytes: Size of the file.
    """

    name: str
    head: bytes
    places: tuple[tuple[int, int], ...]
    body: Any
    nbytes: int

    def open(self) -> Value:
        """Return the value, in a task; its arrays are mapped, and copied only when they are written to."""
        if self.name not in _opened:
            while len(_opened) >= _CACHED:
                del _opened[next(iter(_opened))]
            _opened[self.name] = pickle.loads(self.head, buffers=self._buffers())
        return cast(Value, _opened[self.name])

    def release(self) -> None:
        """Remove the value from all machines; call it on the driver, once no frame needs the value."""
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


class Broadcasts:
    """Hands values to tasks, and owns them together with persisted frames, until `release`.

    Args:
        context: The SparkContext.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._values: list[BroadcastValue[Any]] = []
        self._frames: list[Any] = []

    def send(self, value: Value) -> BroadcastValue[Value]:
        """Broadcast a value; see `broadcast_value`."""
        sent = broadcast_value(self._context, value)
        self._values.append(sent)
        return sent

    def persist(self, frame: Any) -> Any:
        """Return the frame, persisted."""
        persisted = frame.persist()
        self._frames.append(persisted)
        return persisted

    def release(self) -> None:
        """Free all values and frames."""
        for value in self._values:
            value.release()
        for frame in self._frames:
            frame.unpersist()
        self._values.clear()
        self._frames.clear()


def to_bytes(value: Any) -> bytes:
    """Return a value as bytes that a task passes to a later task."""
    return pickle.dumps(value, protocol=5)


def from_bytes(data: bytes) -> Any:
    """Return the value that `to_bytes` was called on."""
    return pickle.loads(data)


def broadcast_value(context: Any, value: Value) -> BroadcastValue[Value]:
    """Broadcast a value, on the driver.

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
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
    body = context.broadcast([bytes(buffer.raw()) for buffer in buffers])
    return BroadcastValue(uuid.uuid4().hex, head, tuple(places), body, end)
