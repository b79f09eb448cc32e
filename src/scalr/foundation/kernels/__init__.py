"""Compiled loops over arrays of integer codes; they know nothing of recommendation."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__, {"distinct", "hashing", "keys", "lookup", "lowrank", "machine", "order"}
)
