"""Where the method is carried out. Each engine walks the same stages and writes the same bytes.

    generation  `generate`: picks the engine; `Generation` holds events in memory
    local/      part by part on this machine, in bounded memory
    spark/      on a Spark cluster; the source stays there

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
