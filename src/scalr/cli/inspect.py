"""`scalr inspect`: what is in a finished folder, or in a pair of logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal, shown
from scalr.cli.inputs import LogOptions, StepOptions
from scalr.foundation import ConfigError, InputError
from scalr.logs import Columns

if TYPE_CHECKING:
    from scalr.foundation import Steps
    from scalr.synthesis import Audit

EXAMPLE = (
    "Examples: scalr inspect run1 --audit | scalr inspect --source feed.parquet --target ads.parquet | "
    "scalr inspect part.parquet --audit --source feed.parquet --target ads.parquet"
)


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A finished folder; with --audit also synthetic files.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            metavar="[NAME=]FILES",
            help="Source log, to look at logs instead.",
            rich_help_panel=o.LOGS,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="FILES", help="Target log.", rich_help_panel=o.LOGS)
    ] = None,
    items: o.ItemsOption = None,
    user: o.UserOption = None,
    item: o.ItemOption = None,
    time: o.TimeOption = None,
    label: o.LabelOption = None,
    value: o.ValueOption = None,
    weight: o.WeightOption = None,
    source_columns: o.SourceColumnsOption = None,
    target_columns: o.TargetColumnsOption = None,
    time_unit: o.TimeUnitOption = None,
    ids: o.IdsOption = "auto",
    drop_nulls: o.DropNullsOption = False,
    leaks: Annotated[
        bool,
        typer.Option("--leaks", help="Look for columns of a run that tell synthetic rows from real ones."),
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Check every synthetic row against the logs: its source event, that it is new, its counts, marginals.",
        ),
    ] = False,
    translator: o.TranslatorOption = "cooccurrence",
    history_cap: o.HistoryCapOption = None,
    window_days: o.WindowOption = None,
    backoff: o.BackoffOption = 0.0,
    duplicates: o.DuplicatesOption = "keep",
    align: o.AlignOption = "value",
    privacy: o.PrivacyOption = None,
    most_distance: Annotated[
        float | None,
        typer.Option(
            "--most-distance",
            metavar="D",
            min=0.0,
            max=1.0,
            help="Largest total variation of the --align marginals.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Show a run's stages and check that its files are as they were written; or show what is in logs.

    Steps matter to --audit of files that stand alone; those of a run's folder are in its manifest.
    """
    terminal = Terminal(quiet=quiet, as_json=as_json)
    columns = Columns(user, item, time, label, value, weight)
    logs = LogOptions(
        source or [], target or "", items, columns, source_columns, target_columns, time_unit, ids, drop_nulls
    )
    if audit and folder is not None and source is not None and target is not None:
        steps = StepOptions(
            0, translator, 4, "sample", 1.0, 1, history_cap, window_days, backoff, duplicates, align, privacy
        ).steps()  # fmt: skip
        _audit_files(folder, logs, steps, most_distance, terminal)
        return
    if audit and folder is None:
        raise ConfigError(
            "inspect --audit got no synthetic events",
            expected="a finished folder, or synthetic files with --source and --target",
            fix="scalr inspect DIR --audit",
        )
    if (folder is None) == (source is None or target is None):
        raise ConfigError(
            "inspect got neither a run's folder nor a source and a target log"
            if folder is None
            else "inspect got both a folder and logs",
            expected="one finished folder, or --source and --target",
            fix="scalr inspect DIR, or scalr inspect --source S --target T",
        )
    if folder is not None:
        _inspect_run(folder, terminal, leaks=leaks, audit=audit)
        return
    _inspect_logs(logs, terminal)


def _inspect_run(folder: Path, terminal: Terminal, *, leaks: bool, audit: bool) -> None:
    from scalr.cli.summaries import audit_table, reach, stages_table
    from scalr.runs import check_outputs, read_manifest

    manifest = read_manifest(folder)
    with terminal:
        advance = terminal.stage("checking files", len(manifest["outputs"]), "files")
        changed = check_outputs(folder, manifest, advance)
        found = _leaks_of(folder, manifest, terminal) if leaks else {}
        audited = _audit_of(folder, manifest, terminal) if audit else None
    beside = {} if audited is None else {"audit": audited.to_json()}
    terminal.result({**manifest, "changed_files": changed, **found, **beside})
    lines = [
        f"{shown(manifest['command'])} of scalr {shown(manifest['version'])}, seed {shown(manifest['seed'])}, "
        f"made {shown(manifest['created_at'])}"
    ]
    lines.append(reach(manifest))
    if not changed:
        lines.append(f"all {len(manifest['outputs'])} files are as they were written")
    lines += [shown(sentence) for sentence in found.get("leaks", {}).get("sentences", ())]
    terminal.show(stages_table(manifest["stages"]), "", *lines)
    if audited is not None:
        terminal.show("", audit_table(audited.to_json()))
        audited.refuse_findings(str(folder))
    if changed:
        raise InputError(
            f"files in '{folder}' are not as they were written: {', '.join(changed)}",
            expected="the files whose digests are in manifest.json",
            fix="make the folder again, or do not trust these files",
        )


def _leaks_of(folder: Path, manifest: dict[str, Any], terminal: Terminal) -> dict[str, Any]:
    """Compare a run's rows with the target log that it was made of, read where it was then."""
    from scalr.logs import find_columns, open_table
    from scalr.synthesis import check_written, refuse_unfit

    files = _part_files(folder, "--leaks")
    refuse_unfit("report", "compact" if (folder / "dictionaries").exists() else "target")
    settings = manifest.get("settings") or {}
    target = settings.get("target")
    if not isinstance(target, str):
        raise InputError(
            f"the manifest of '{folder}' names no target log",
            expected="a folder of scalr generate or run, made from files",
            fix="leave --leaks out, or name another folder",
        )
    general, special = (Columns.from_settings(settings.get(name)) for name in ("columns", "target_columns"))
    columns = find_columns(open_table(target, "target"), general, special)
    found, _ = check_written("report", target, columns, dict.fromkeys(files, ""), terminal)
    return {"leaks": found}


def _part_files(folder: Path, option: str) -> list[Path]:
    files = sorted((folder / "synthetic").glob("part-*.parquet"))
    if not files:
        raise ConfigError(
            f"'{folder}' holds no synthetic events",
            expected="a folder of scalr generate or run",
            fix=f"leave {option} out, or name another folder",
        )
    return files


def _audit_of(folder: Path, manifest: dict[str, Any], terminal: Terminal) -> Audit:
    """Audit a run's rows against the logs that it was made of, read where they were then."""
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
    is_seed_known = settings.translate.privacy.epsilon is None  # noise cannot be drawn anew
    return audit(rows, pair, settings, is_seed_known=is_seed_known, stated=stated)


def _audit_files(files: Path, logs: LogOptions, steps: Steps, most_distance: float | None, terminal: Terminal) -> None:
    """Audit rows that stand alone."""
    from scalr.cli.summaries import audit_table
    from scalr.synthesis import audit, read_released

    with terminal:
        pair, _ = logs.read(terminal)
        terminal.stage("auditing")
        audited = audit(read_released(str(files), pair), pair, steps, most_distance=most_distance)
    terminal.result(audited.to_json())
    terminal.show(audit_table(audited.to_json()))
    audited.refuse_findings(str(files))


def _inspect_logs(logs: LogOptions, terminal: Terminal) -> None:
    from scalr.cli.summaries import pair_table
    from scalr.logs import summarise

    with terminal:
        pair, _ = logs.read(terminal)
    summary = summarise(pair).to_json()
    terminal.result(summary)
    found = ", ".join(f"{role} = {name}" for role, name in pair.target.columns.roles() if name)
    terminal.show(pair_table(summary), f"\ncolumns of the target log: {shown(found)}")
