"""Pages of a few megabytes at most that unpack to 100 MB, or claim to, take little more memory than that to refuse."""

import json
import subprocess
import sys

import pytest
from tests.trust import bad_parquet
from tests.trust.battery import Desk, is_refusal
from tests.trust.figures import FIGURE

pytestmark = [pytest.mark.trust, pytest.mark.slow]

HELD = 100_000_000
MOST = 3 * HELD
CHILD = """
import contextlib, io, json, sys
import scalr.report.drawing
from scalr.cli import main

def peak():
    with open("/proc/self/status") as file:  # unlike ru_maxrss it begins anew with the program
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024

scalr.report.drawing.charts_available = lambda: False
good, *bad = json.loads(sys.stdin.read())
assert main(good) == 0
before, refused = peak(), []
for line in bad:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(line)
    refused.append([code, said.getvalue(), peak() - before])
print(json.dumps(refused))
"""


def test_what_bombs_take(tmp_path, record_property):
    desk = Desk(tmp_path)
    lines, says = [desk.generate(desk.table("good.parquet", desk.source), desk.table("t.parquet", desk.target))], []
    lines[0][-1] = str(tmp_path / "good")
    for packer in ("zstd", "snappy", "gzip"):
        for make, said in (("claims", "cannot be read as Parquet"), ("holds", "has a value of 100,000,000 bytes")):
            desk = Desk(tmp_path)
            make_it = bad_parquet.held if make == "holds" else bad_parquet.page_claiming
            content = make_it(desk, packer, HELD)
            assert len(content) < HELD / 10
            lines.append(desk.generate(desk.file(f"{packer} {make}.parquet", content)))
            says.append(said)
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps(lines), capture_output=True, text=True, check=True, timeout=300
    )
    refused = json.loads(done.stdout.splitlines()[-1])
    assert len(refused) == 6
    for (code, said, grown), words in zip(refused, says, strict=True):
        is_refusal(code, said, words)
        assert grown < MOST
    assert refused[-1][2] > HELD / 2  # else it was not measured
    record_property(FIGURE, (f"bombs of 100 MB: {max(one[2] for one in refused) >> 20} MB", "refused", 0.0, 6))
