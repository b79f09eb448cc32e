"""`scalr run`: everything a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal, shown
from scalr.cli.inputs import refuse_noise
from scalr.cli.results import show_conversions, show_evidence
from scalr.cli.spark import SparkOptions

if TYPE_CHECKING:
    from scalr.runs import Execution

EXAMPLE = "Example: scalr run scalr.yaml --out run1 --set sample.draws_per_event=8"


def command(
    out: o.OutOption,
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.yaml", help="Settings, as `scalr init` writes them.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="a.b=c", help="Change one setting; may be repeated.", rich_help_panel=o.STEPS),
    ] = None,
    from_manifest: Annotated[
        Path | None,
        typer.Option(
            "--from-manifest",
            metavar="MANIFEST",
            help="Instead of CONFIG.yaml: repeat what made this manifest (of `run` or `generate`), and compare.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    privacy: o.PrivacyOption = None,
    trials_file: o.TrialsFileOption = None,
    threads: o.ThreadsOption = None,
    memory_limit: o.MemoryLimitOption = None,
    engine: o.EngineOption = "local",
    spark_master: o.SparkMasterOption = None,
    spark_conf: o.SparkConfOption = None,
    resume: o.ResumeOption = False,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Generate synthetic events and study what they are worth, with the settings of a file."""
    from scalr.cli.results import shows_finished
    from scalr.foundation import ConfigError, use_lean_allocator
    from scalr.runs import Execution, RunPlan, absolute_paths, check_apart, check_free, read_config, run

    if not resume:
        check_free(out)
    use_lean_allocator()
    limit = o.memory_limit(memory_limit)
    if (config is None) == (from_manifest is None) or (from_manifest and trials_file):
        raise ConfigError(
            f"{'two things' if config or trials_file else 'nothing'} to run",
            expected="either CONFIG.yaml or --from-manifest MANIFEST, the latter without --trials-file",
            fix="scalr run scalr.yaml --out DIR",
        )
    options = SparkOptions(engine, spark_master, spark_conf or [], None, False)
    terminal = Terminal(quiet=quiet, as_json=as_json)
    if from_manifest is not None:
        options.check_local("--from-manifest")
        _repeat(terminal, from_manifest, out, set_ or [], Execution(threads, limit, resume, board=terminal))
        return
    assert config is not None
    presets = [f"translate.privacy.{name}={value}" for name, value in o.privacy(privacy).items()]
    settings = read_config(config, [*(set_ or []), *presets])
    refuse_noise(settings)
    source = settings.source
    check_apart(out, [*([source] if isinstance(source, str) else source.values()), settings.target, settings.items])
    options.check(settings.layout, leaks=settings.leaks != "off", resume=resume)
    if resume and shows_finished(terminal, out, RunPlan("run", absolute_paths(settings.model_dump(mode="json")))):
        return
    with terminal:
        if engine == "spark":
            manifest = options.run(settings, out, threads, trials_file, terminal)
        else:
            manifest = run(
                settings, out, threads=threads, memory_limit=limit, trials_file=trials_file, resume=resume,
                board=terminal,
            )  # fmt: skip
        for warning in manifest["warnings"]:
            terminal.note(f"! {warning}")
    _show(terminal, manifest, out)


def _show(terminal: Terminal, manifest: Mapping[str, Any], out: Path, more: Mapping[str, Any] | None = None) -> None:
    from scalr.cli.summaries import stages_table
    from scalr.studies import CONVERSIONS_SCHEMA

    terminal.result({key: value for key, value in manifest.items() if key != "evaluation"} | dict(more or {}))
    terminal.show(stages_table(manifest["stages"]))
    if "evaluation" in manifest:
        show = show_conversions if manifest["evaluation"]["schema"] == CONVERSIONS_SCHEMA else show_evidence
        show(terminal, manifest["evaluation"], out)


def _repeat(terminal: Terminal, file: Path, out: Path, changes: list[str], execution: Execution) -> None:
    """Repeat what a manifest says, and say whether the same came out."""
    from scalr.cli.results import shows_finished
    from scalr.runs import differences, plan_of, read_request, repeat_run

    request = read_request(file, changes)
    if execution.resume and shows_finished(terminal, out, plan_of(request)):
        return
    with terminal:
        done = repeat_run(request, out, execution)
        for sentence in differences(request.manifest) if done.differing else ():
            terminal.note(f"! {sentence}")
    _show(terminal, done.manifest, out, {"equal": list(done.equal), "differing": list(done.differing)})
    if done.differing:
        terminal.show(f"[bold]Not the same[/bold]: {shown(', '.join(done.differing))}")
    else:
        terminal.show(f"The same, byte for byte: {len(done.equal)} files of results.")
