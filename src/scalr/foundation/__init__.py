"""What every other package stands on. It imports nothing of scalr and knows nothing of recommendation.

    arrays       types of arrays: codes, keys, masks, numbers
    caching      a keyed cache that threads share
    checkpoints  finished pieces of long work, kept in a folder
    config       the settings of every step, with defaults and bounds
    environment  versions of Python, libraries and the machine
    errors       errors in three parts: what is wrong, what was expected, how to fix it
    kernels/     compiled loops over arrays: hashing, sorting, distinct values, low-rank algebra
    memory       the memory limit of a run, and how many threads fit into it
    progress     how a long step reports its progress
    receipts     rows, seconds and memory of a stage
    rng          counter-based random numbers: a hash of seed, purpose and key
    validation   the base of all settings: frozen, bounded, checked
    version      the version of the package

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
