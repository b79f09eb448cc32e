"""Settings, errors, random numbers and compiled loops for every other package; imports nothing of scalr.

    arrays               type aliases of arrays: codes, keys, masks, numbers
    caching              `Cache`: computed values that threads share
    checkpoints          `Checkpoints`: results of finished steps, from which an interrupted run resumes
    config               the settings of every step, with defaults and bounds
    environment          versions of Python and libraries, and the machine
    errors               errors in three parts: what is wrong, what was expected, how to fix it
    generation_settings  settings of privacy, translation, sampling, refining and negative rows
    kernels/             compiled loops over arrays: hashing, sorting, distinct values, low-rank algebra
    memory               the memory limit of a run, and the number of threads that fit into it
    progress             how a long step reports its progress
    receipts             rows, seconds and memory of a stage
    rng                  counter-based random numbers: a hash of seed, purpose and key
    validation           the base class of all settings: frozen, bounded, checked
    version              the version of the package

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
