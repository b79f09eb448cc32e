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

from scalr.cli import demo, doctor, export, generate, init, inspect, run, study
from scalr.foundation import ConfigError, InputError, ScalrError, __version__, system_error

_GARBAGE_THRESHOLD = 100_000  # objects between collections: a command makes little garbage, and much at its start
INTERRUPTED = 130  # exit code, by custom 128 + the number of the signal

app = typer.Typer(
    name="scalr",
    add_completion=False,
    rich_markup_mode="rich",
    help=(
        "Turn users' events of source domains into synthetic events of a sparse target domain, "
        "and show what they are worth.\n\nStart with [bold]scalr demo[/bold], or with "
        "[bold]scalr study --source S --target T --out DIR[/bold] on your own logs."
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, init, run, generate, study, export, inspect, doctor):
    app.command(module.__name__.rpartition(".")[2], epilog=module.EXAMPLE)(module.command)


def _version(asked: bool) -> None:
    if asked:
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
    """Return a wrong command line as an error of ours, with the value that was given where there is one."""
    options = getattr(getattr(error, "param", None), "opts", [])
    given = [value for name, value in pairwise(arguments) if name in options]
    return ConfigError(
        error.format_message().rstrip(".") + (f"; found '{given[-1]}'" if given else ""),
        expected="a command line as `scalr COMMAND --help` describes it",
        fix="see the options of the command with --help",
    )


def _memory_error(error: MemoryError) -> InputError:
    return InputError(
        f"not enough memory: {str(error) or 'an array could not be made'}",
        expected="room in memory for the ids, the target log and a part of the events",
        fix="set --memory-limit below what is free, or use fewer events or a larger machine",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 the input is wrong, 130 interrupted, 1 a fault of ours."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave as clean as after Ctrl-C
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
    """Be the command: run it, and end the process at once instead of taking all of its parts down one by one.

    All files are closed by then and all threads are done, so nothing is lost; half a second of a short run is saved.
    """
    gc.set_threshold(_GARBAGE_THRESHOLD)
    code = main()
    with contextlib.suppress(OSError):  # whoever reads may have gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
