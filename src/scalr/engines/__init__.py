"""Carry out the method: every engine walks the stages of `scalr.synthesis` and makes the same events.

    generation  `generate` in memory: picks Spark for frames of Spark
    local/      part by part on this machine, in bounded memory: `write_events`
    spark/      on a Spark cluster; the source stays there: `generate_on_spark`, `write_parts`, `dry_run`

Modules of local/ and spark/ with the same name do the same job (passes, writing).
Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
