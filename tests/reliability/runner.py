"""The command `scalr` with small parts and without charts, in processes to kill.

Everything is loaded once; each job is a fork of this process, in the locale of the environment, for numbers and times
too. Reads a line of JSON per job: `arguments`, `die_at`, the number of the file operation to be killed before (0 for
none), and `nothing_fits`, whether events go to files, as where they do not fit in memory. Answers with the job's
process id at once, and with its exit status, the number of its file operations and what it said on stderr, as a line of
JSON, when it has ended.
"""

import json
import locale
import os
import signal
import sys
from contextlib import suppress

import scalr.cli.summaries
import scalr.report.drawing
import scalr.runs.repeat
from scalr.cli import main
from scalr.engines.local import passes as narrowing
from scalr.foundation import memory
from scalr.synthesis import parts as stream

OPERATIONS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def dies_before(operation: int) -> list[int]:
    """Kill this process before its file operation of a number; return a list that counts them."""
    count = [0]

    def hook(event: str, args: tuple) -> None:
        if event in OPERATIONS or (event == "open" and isinstance(args[2], int) and args[2] & WRITING):
            count[0] += 1
            if count[0] == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def be_the_job(job: dict, answer: int) -> None:
    """Run the command in this process and end it."""
    os.dup2(answer, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if job["nothing_fits"]:
        assert memory._BASE
        memory._BASE = 1 << 62
    count = dies_before(job["die_at"])
    code = main(job["arguments"])
    operations = count[0]
    sys.stderr.flush()
    os.write(answer, f"\0{operations}".encode())
    os._exit(code)


if __name__ == "__main__":
    stream.PART_DRAWS, stream.BUFFER_ROWS, narrowing.COMPARED_ROWS = 1500, 256, 4000
    scalr.report.drawing.charts_available = lambda: False
    with suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "")
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            be_the_job(json.loads(line), writing)
        os.close(writing)
        print(child, flush=True)
        with os.fdopen(reading, "rb") as answer:
            said, _, operations = answer.read().partition(b"\0")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"status": status, "operations": int(operations or 0), "said": said.decode()}), flush=True)
