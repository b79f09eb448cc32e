"""Whole jobs that leave a folder with results, a report and a manifest.

    config_file  settings as a commented YAML file
    demo         the logs of `scalr demo`
    folders      output folders that appear whole or not at all
    generating   the job of `scalr generate`, on both engines
    manifest     `manifest.json`: written, read and checked
    plain_yaml   YAML without aliases or repeated names
    repeat       a run made again from its manifest
    requests     what a run was asked for, and its logs
    resuming     half-finished output: locked, and resumed
    running      `run`: generate and study in one folder
    studying     the job of `scalr study`

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
