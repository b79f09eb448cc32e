"""Generate again and again in one process, under caps of memory; print what each round left behind, as JSON lines.

Arguments: a folder with logs, a folder to work in, minutes; without minutes, kernels are only compiled.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.reliability.jobs import Job

import scalr.report.drawing
from scalr.cli import main
from scalr.engines.local import passes as narrowing
from scalr.foundation.receipts import peak_rss_bytes
from scalr.synthesis import parts as stream

CAP = 3 << 30  # bytes of writable memory that the system lets the process have; threads' stacks count
LEAST_ROUNDS = 6
VARIANTS = (
    ("--duplicates", "merge", "--draws", "8", "--memory-limit", "1500MB"),
    ("--layout", "compact", "--draws", "8", "--align", "value,popularity,time"),
    ("--translator", "factor", "--align", "none"),
)


def left(folder: Path) -> dict[str, int]:
    """Return memory, open files and temporary space of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * resource.getpagesize()
    files = list(folder.rglob("*"))
    space = sum(path.lstat().st_size for path in files if path.is_file())
    return {"rss": resident, "open": len(os.listdir("/proc/self/fd")), "files": len(files), "space": space}


def soak(logs: Path, folder: Path, minutes: float) -> None:
    """Run rounds, each of all variants, until the time is up."""
    job = Job("generate", ("generate", "-s", str(logs / "source.parquet"), "-t", str(logs / "target.parquet")))
    began, rounds = time.monotonic(), 0
    while rounds < LEAST_ROUNDS or time.monotonic() - began < 60 * minutes:
        for variant in VARIANTS:
            out = folder / "run"
            code = main([*job.arguments, *variant, "--out", str(out), "--quiet"])
            if code:
                sys.exit(code)
            shutil.rmtree(out)
        rounds += 1
        print(json.dumps({"round": rounds, "runs": rounds * len(VARIANTS), **left(folder)}), flush=True)
    print(json.dumps({"seconds": time.monotonic() - began, "peak": peak_rss_bytes()}), flush=True)


def compile_all(logs: Path, folder: Path) -> None:
    """Run each variant once, so that its kernels are compiled and cached."""
    job = ("generate", "-s", str(logs / "source.parquet"), "-t", str(logs / "target.parquet"), "--quiet")
    for number, variant in enumerate(VARIANTS):
        room = [one for one in variant if one not in ("--memory-limit", "1500MB")]
        out = folder / f"compiled-{number}"
        code = main([*job, *room, "--out", str(out)])
        if code:
            sys.exit(code)
        shutil.rmtree(out)


if __name__ == "__main__":
    scalr.report.drawing.charts_available = lambda: False
    if len(sys.argv) < 4:
        compile_all(Path(sys.argv[1]), Path(sys.argv[2]))
        sys.exit()
    # Compiling takes a gigabyte of its own, so another process does it.
    subprocess.run([sys.executable, __file__, *sys.argv[1:3]], check=True)
    stream.PART_DRAWS, narrowing.COMPARED_ROWS = 20_000, 30_000
    resource.setrlimit(resource.RLIMIT_DATA, (CAP, CAP))
    soak(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
