"""`scalr inspect`: the content of a finished folder, or of a pair of logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from scalr.cli.console import Terminal, escaped
from scalr.cli.inputs import read_with_warnings
from scalr.cli.option_groups import OptionGroup, with_options
from scalr.cli.options import DISPLAY, LOGS, DisplayOptions, steps_of
from scalr.foundation import ConfigError, InputError, LogSettings, Option, Settings, Steps

if TYPE_CHECKING:
    from scalr.synthesis import Audit

EXAMPLE = (
    "Examples: scalr inspect run1 --audit | scalr inspect --source feed.parquet --target ads.parquet | "
    "scalr inspect part.parquet --audit --source feed.parquet --target ads.parquet"
)


class InspectOptions(Settings):
    """What `scalr inspect` looks at."""

    folder: Annotated[Path | None, Option(metavar="[RUN]")] = None
    """A finished folder; with --audit also files of synthetic events."""
    leaks: Annotated[bool, Option("--leaks")] = False
    """Detect columns of a run that separate synthetic rows from real rows."""
    audit: Annotated[bool, Option("--audit")] = False
    """Check every synthetic row against the logs: its source event, its novelty, its counts, and the marginals."""
    most_distance: Annotated[Annotated[float, Field(ge=0.0, le=1.0)] | None, Option("--most-distance", metavar="D")] = (
        None
    )
    """With --audit: largest accepted total variation distance of the --align marginals."""

    def check(self, logs: LogSettings | None) -> None:
        """Refuse options that exclude each other.

        Raises:
            ConfigError: If there is not exactly one thing to inspect.
        """
        if self.audit and self.folder is None:
            raise ConfigError(
                "inspect --audit got no synthetic events",
                expected="a finished folder, or synthetic files with --source and --target",
                fix="scalr inspect DIR --audit",
            )
        if (self.folder is None) == (logs is None) and not self.audit:
            raise ConfigError(
                "inspect got neither a run's folder nor a source and a target log"
                if self.folder is None
                else "inspect got both a folder and logs",
                expected="one finished folder, or --source and --target",
                fix="scalr inspect DIR, or scalr inspect --source S --target T",
            )


@with_options(
    inspected=OptionGroup(InspectOptions),
    logs=replace(LOGS, is_optional=True),
    steps=steps_of("translate", "refine"),
    display=DISPLAY,
)
def command(inspected: InspectOptions, logs: LogSettings | None, steps: Steps, display: DisplayOptions) -> None:
    """Show the stages of a run and check that its files are unchanged; or summarise logs.

    Steps matter only to --audit of separate files; the manifest of a run has its own.
    """
    inspected.check(logs)
    terminal = display.terminal()
    if logs is None:
        _inspect_run(inspected, terminal)
    elif inspected.audit:
        _audit_files(inspected, logs, steps, terminal)
    else:
        _inspect_logs(logs, terminal)


def _inspect_run(inspected: InspectOptions, terminal: Terminal) -> None:
    from scalr.runs import check_outputs, read_manifest

    folder = inspected.folder
    assert folder is not None
    manifest = read_manifest(folder)
    with terminal:
        advance = terminal.stage("checking files", len(manifest["outputs"]), "files")
        changed = check_outputs(folder, manifest, advance)
        leaks = _leaks_of(folder, manifest, terminal) if inspected.leaks else None
        audit = _audit_of(folder, manifest, terminal) if inspected.audit else None
    checks = {"leaks": leaks, "audit": None if audit is None else audit.to_json()}
    checks = {name: result for name, result in checks.items() if result is not None}
    terminal.result({**manifest, "changed_files": changed, **checks})
    _show_run(terminal, manifest, checks, is_unchanged=not changed)
    if audit is not None:
        audit.refuse_findings(str(folder))
    if changed:
        raise InputError(
            f"files in '{folder}' are not as they were written: {', '.join(changed)}",
            expected="the files whose digests are in manifest.json",
            fix="write the folder again, or do not trust these files",
        )


def _show_run(terminal: Terminal, manifest: dict[str, Any], checks: dict[str, Any], *, is_unchanged: bool) -> None:
    from scalr.cli.summaries import audit_table, coverage_sentence, stages_table

    lines = [
        f"{escaped(manifest['command'])} of scalr {escaped(manifest['version'])}, seed {escaped(manifest['seed'])}, "
        f"made {escaped(manifest['created_at'])}",
        coverage_sentence(manifest),
    ]
    if is_unchanged:
        lines.append(f"all {len(manifest['outputs'])} files are as they were written")
    lines += [escaped(sentence) for sentence in checks.get("leaks", {}).get("sentences", ())]
    terminal.show(stages_table(manifest["stages"]), "", *lines)
    if "audit" in checks:
        terminal.show("", audit_table(checks["audit"]))


def _leaks_of(folder: Path, manifest: dict[str, Any], terminal: Terminal) -> dict[str, Any]:
    """Compare the rows of a run with its target log, read from its original place."""
    from scalr.logs import Columns, find_columns, open_table
    from scalr.synthesis import check_written, refuse_unfit

    files = _part_files(folder, "--leaks")
    refuse_unfit("report", "compact" if (folder / "dictionaries").exists() else "target")
    settings = manifest.get("settings") or {}
    target = settings.get("target")
    if not isinstance(target, str):
        raise InputError(
            f"the manifest of '{folder}' names no target log",
            expected="a folder of scalr generate or run, made from files",
            fix="omit --leaks, or name another folder",
        )
    general, special = (Columns.from_settings(settings.get(name)) for name in ("columns", "target_columns"))
    columns = find_columns(open_table(target, "target"), general, special)
    leaks, _ = check_written("report", target, columns, dict.fromkeys(files, ""), terminal)
    return leaks


def _part_files(folder: Path, option: str) -> list[Path]:
    files = sorted((folder / "synthetic").glob("part-*.parquet"))
    if not files:
        raise ConfigError(
            f"'{folder}' holds no synthetic events",
            expected="a folder of scalr generate or run",
            fix=f"omit {option}, or name another folder",
        )
    return files


def _audit_of(folder: Path, manifest: dict[str, Any], terminal: Terminal) -> Audit:
    """Audit the rows of a run against its logs, read from their original places."""
    from scalr.foundation import RunSettings
    from scalr.runs import read_settings
    from scalr.synthesis import audit, read_released

    _part_files(folder, "--audit")
    settings = RunSettings.parse(manifest.get("settings") or {}, f"'{folder / 'manifest.json'}'")
    pair = read_settings(settings, board=terminal)
    terminal.stage("auditing")
    dictionaries = folder / "dictionaries"
    rows = read_released(str(folder / "synthetic"), pair, dictionaries if dictionaries.exists() else None)
    stated = manifest["stages"].get("align", {}).get("marginals")
    is_seed_known = settings.translate.privacy.epsilon is None  # noise does not depend on the seed
    return audit(rows, pair, settings, is_seed_known=is_seed_known, stated=stated)


def _audit_files(inspected: InspectOptions, logs: LogSettings, steps: Steps, terminal: Terminal) -> None:
    """Audit files of synthetic events without a manifest."""
    from scalr.cli.summaries import audit_table
    from scalr.synthesis import audit, read_released

    files = str(inspected.folder)
    with terminal:
        pair, _ = read_with_warnings(logs, terminal)
        terminal.stage("auditing")
        audited = audit(read_released(files, pair), pair, steps, most_distance=inspected.most_distance)
    terminal.result(audited.to_json())
    terminal.show(audit_table(audited.to_json()))
    audited.refuse_findings(files)


def _inspect_logs(logs: LogSettings, terminal: Terminal) -> None:
    from scalr.cli.summaries import logs_table
    from scalr.logs import summarise

    with terminal:
        pair, _ = read_with_warnings(logs, terminal)
    summary = summarise(pair).to_json()
    terminal.result(summary)
    columns = ", ".join(f"{role} = {name}" for role, name in pair.target.columns.roles() if name)
    terminal.show(logs_table(summary), f"\ncolumns of the target log: {escaped(columns)}")
