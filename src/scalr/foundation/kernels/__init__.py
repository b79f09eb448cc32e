"""Compiled loops over arrays of integer codes. They have no notion of recommendation."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__, {"distinct", "hashing", "keys", "lookup", "lowrank", "machine", "order"}
)
