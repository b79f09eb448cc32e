"""The command `scalr`: one module per subcommand; `main` turns errors into three lines and an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, NoReturn

import typer

from scalr.cli.command_group import CommandGroup
from scalr.foundation import ConfigError, InputError, ScalrError, __version__, system_error

_GARBAGE_THRESHOLD = 100_000  # objects between collections; most objects of a command are created at its start
INTERRUPTED = 130  # exit code: by convention 128 + the number of the signal

app = typer.Typer(
    name="scalr",
    cls=CommandGroup,
    add_completion=False,
    rich_markup_mode="rich",
    help=(
        "Turn users' events of source domains into synthetic events of a sparse target domain, "
        "and measure their effect.\n\nStart with [bold]scalr demo[/bold], or with "
        "[bold]scalr study --source S --target T --out DIR[/bold] on your own logs."
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_set: bool) -> None:
    if is_set:
        typer.echo(f"scalr {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _usage_error(error: typer.TyperException, arguments: Sequence[str]) -> ConfigError:
    """Return an error of Typer as one of scalr, with the wrong value if there is one."""
    options = getattr(getattr(error, "param", None), "opts", [])
    values = [value for name, value in pairwise(arguments) if name in options]
    return ConfigError(
        error.format_message().rstrip(".") + (f"; found '{values[-1]}'" if values else ""),
        expected="a command line as described by `scalr COMMAND --help`",
        fix="see the options of the command with --help",
    )


def _memory_error(error: MemoryError) -> InputError:
    return InputError(
        f"not enough memory: {str(error) or 'an array could not be allocated'}",
        expected="memory for the ids, the target log and a part of the events",
        fix="set --memory-limit below the free memory, or use fewer events or a larger machine",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 success, 2 wrong input, 130 interrupted, 1 a defect of scalr."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        code = app(args=arguments, standalone_mode=False)
    except ScalrError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(system_error(error), file=sys.stderr)
        return 2
    except MemoryError as error:
        print(_memory_error(error), file=sys.stderr)
        return 2
    except typer.TyperException as error:
        print(_usage_error(error, sys.argv[1:] if arguments is None else arguments), file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("interrupted; no output was written", file=sys.stderr)
    return code if isinstance(code, int) else 0


def entry() -> NoReturn:
    """Run the command and end the process at once, without the teardown of the interpreter.

    All files are closed and all threads are finished by then. This saves half a second of a short run.
    """
    gc.set_threshold(_GARBAGE_THRESHOLD)
    code = main()
    with contextlib.suppress(OSError):  # the reader of a pipe may have ended
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
