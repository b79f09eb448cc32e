"""The command `scalr` with small parts and without charts, as a process to kill.

Arguments: the number of the file operation to die before (0 for none), then those of the command. Prints "ready" before
the command starts and, if it lives, the number of file operations last.
"""

import os
import signal
import sys

from scalr import narrowing, stream
from scalr.cli import main

stream.PART_DRAWS, stream.BUFFER_ROWS, narrowing.HELD_ROWS = 1500, 256, 4000
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


if __name__ == "__main__":
    import scalr.report.drawing

    scalr.report.drawing.charts_available = lambda: False
    print("ready", flush=True)
    operations = dies_before(int(sys.argv[1]))
    code = main(sys.argv[2:])
    print(operations[0], flush=True)
    os._exit(code)
