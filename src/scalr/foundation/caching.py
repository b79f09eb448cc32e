"""A cache of computed values that threads share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """The most recently used values by key; threads that request the same key wait for a single computation.

    Args:
        max_size: Number of values to keep.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size, self._lock = max_size, threading.Lock()
        self._values: OrderedDict[Hashable, Future[Value]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the value of a key, computed now if it is not in the cache.

        An error of `compute` is raised in every waiting thread, and the key is free again.
        """
        with self._lock:
            value = self._values.get(key)
            is_new = value is None
            if value is None:
                value = self._values[key] = Future()
            self._values.move_to_end(key)
            while len(self._values) > self._max_size:
                self._values.popitem(last=False)
        if is_new:
            try:
                value.set_result(compute())
            except BaseException as error:  # noqa: BLE001 - waiting threads raise it
                with self._lock:
                    self._values.pop(key, None)
                value.set_exception(error)
        return value.result()
