"""Whole jobs that leave a folder with results, a report and a manifest.

    config_file  settings as a commented YAML file
    demo         the logs of `scalr demo`
    evidence     the kinds of study: events, impressions, sweeps
    execution    resources of a job: threads, memory, checkpoints, progress
    folders      output folders that appear whole or not at all
    generating   the job of `scalr generate`, on both engines
    job          the skeleton of every job, into which engine and kind of study plug in
    local        the engine of this machine, and logs in memory
    manifest     `manifest.json`: written, read and checked
    plain_yaml   YAML without aliases or repeated names
    records      values that the stages of a job hand on
    repeat       repeats a run from its manifest
    requests     what was requested: settings, logs, paths
    resuming     unfinished output: locked, and resumed
    running      `run`: generate and study in one folder
    spark        the engine of Spark
    studying     the job of `scalr study`

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
