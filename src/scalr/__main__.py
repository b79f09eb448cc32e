"""Run the command as `python -m scalr`."""

import sys

from scalr.cli import main

sys.exit(main())
