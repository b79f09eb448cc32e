"""The cache: each value is computed once, the least recently used value is evicted, errors are not stored."""

import threading

import pytest

from scalr.foundation.caching import Cache


def test_values_are_computed_once_and_the_least_recently_used_is_evicted():
    computed = []

    def compute(key):
        return lambda: computed.append(key) or key

    cache = Cache(2)
    threads = [threading.Thread(target=cache.get, args=("a", compute("a"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed == ["a"]
    cache.get("b", compute("b"))
    cache.get("a", compute("a"))
    cache.get("c", compute("c"))
    assert computed == ["a", "b", "c"]
    cache.get("a", compute("a"))
    cache.get("b", compute("b"))
    assert computed == ["a", "b", "c", "b"], "b was used least recently when c came"


def test_an_error_is_not_stored():
    cache = Cache(2)

    def fail():
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            cache.get("a", fail)
    assert cache.get("a", lambda: 1) == 1
