"""Modules whose doctests need an optional library are left out where it is not installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["src/scalr/adapters/loader.py"]
