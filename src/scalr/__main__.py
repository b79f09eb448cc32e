"""Run the command as `python -m scalr`."""

from scalr.cli import entry

entry()
