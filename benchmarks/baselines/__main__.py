"""Run one baseline: `python -m benchmarks.baselines NAME SOURCE TARGET OUT`."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import baselines

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline", choices=baselines.NAMES)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--draws", type=int, default=10, help="target items per source event")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    baselines.load(options.baseline)(options.source, options.target, options.out, options.draws, options.seed)
