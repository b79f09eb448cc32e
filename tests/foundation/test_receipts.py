"""Peak memory: that of the program itself, not of the process that started it."""

import subprocess
import sys
from pathlib import Path

import pytest

from scalr.foundation import receipts

PEAK = "from scalr.foundation.receipts import peak_rss_bytes; print(peak_rss_bytes())"


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells them apart")
def test_the_peak_of_the_parent_process_does_not_count():
    run = "subprocess.run([sys.executable, '-c', sys.argv[1]])"
    large = f"import subprocess, sys; held = bytearray(b'x') * (400 << 20); {run}"
    outputs = [
        subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True, check=True).stdout
        for arguments in ([PEAK], [large, PEAK])
    ]
    alone, below_a_large_parent = map(int, outputs)
    assert below_a_large_parent < alone + (100 << 20) < 400 << 20


def test_without_proc_the_peak_comes_from_getrusage(tmp_path, monkeypatch):
    monkeypatch.setattr(receipts, "_STATUS", tmp_path / "none")
    assert receipts.peak_rss_bytes() > 10 << 20
