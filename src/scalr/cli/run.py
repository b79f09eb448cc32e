"""`scalr run`: everything that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from scalr.cli.console import Terminal, escaped
from scalr.cli.inputs import check_output, refuse_noise
from scalr.cli.option_groups import OptionGroup, with_options
from scalr.cli.options import DISPLAY, OUTPUT, STEPS_PANEL, DisplayOptions, OutputOptions, TrialsOptions, steps_of
from scalr.cli.spark import SPARK, SparkOptions
from scalr.foundation import ConfigError, Option, RunSettings, Steps

EXAMPLE = "Example: scalr run scalr.yaml --out run1 --set sample.draws_per_event=8"


class RunOptions(TrialsOptions):
    """What `scalr run` runs."""

    config: Annotated[Path | None, Option(metavar="CONFIG.yaml")] = None
    """Settings, as `scalr init` writes them."""
    changes: Annotated[tuple[str, ...], Option("--set", metavar="a.b=c")] = ()
    """Change one setting; may be repeated."""
    from_manifest: Annotated[Path | None, Option("--from-manifest", metavar="MANIFEST")] = None
    """Instead of CONFIG.yaml: repeat the run of this manifest (of `run` or `generate`), and compare the results."""

    def check(self) -> None:
        """Refuse options that exclude each other.

        Raises:
            ConfigError: If there is not exactly one thing to run.
        """
        from_manifest = self.from_manifest is not None
        if (self.config is None) != from_manifest or (from_manifest and self.trials_file):
            raise ConfigError(
                f"{'two things' if self.config or self.trials_file else 'nothing'} to run",
                expected="either CONFIG.yaml or --from-manifest MANIFEST, the latter without --trials-file",
                fix="scalr run scalr.yaml --out DIR",
            )


@with_options(
    request=OptionGroup(RunOptions, STEPS_PANEL),
    steps=steps_of("translate.privacy"),
    output=OUTPUT,
    spark=SPARK,
    display=DISPLAY,
)
def command(
    request: RunOptions, steps: Steps, output: OutputOptions, spark: SparkOptions, display: DisplayOptions
) -> None:
    """Generate synthetic events and study their effect, with the settings of a file."""
    from scalr.cli.results import shows_finished
    from scalr.foundation import use_lean_allocator
    from scalr.runs import RunPlan, absolute_paths, check_free

    if not output.resume:
        check_free(output.out)
    use_lean_allocator()
    output.memory_bytes()
    request.check()
    terminal = display.terminal()
    if request.from_manifest is not None:
        spark.check_local("--from-manifest")
        _repeat(terminal, request.from_manifest, request.changes, output)
        return
    settings = _settings(request, steps)
    refuse_noise(settings)
    check_output(output.out, settings)
    spark.check(settings.layout, leaks=settings.leaks != "off", resume=output.resume)
    plan = RunPlan("run", absolute_paths(settings.model_dump(mode="json")))
    if output.resume and shows_finished(terminal, output.out, plan):
        return
    with terminal:
        manifest = _run(settings, output, spark, request.trials_file, terminal)
        for warning in manifest["warnings"]:
            terminal.note(f"! {warning}")
    _show(terminal, manifest, output.out)


def _settings(request: RunOptions, steps: Steps) -> RunSettings:
    """Return the settings of the file with the changes of the command line."""
    from scalr.runs import read_config

    assert request.config is not None
    privacy = steps.translate.privacy.model_dump(exclude_unset=True)
    presets = [f"translate.privacy.{name}={value}" for name, value in privacy.items()]
    return read_config(request.config, [*request.changes, *presets])


def _run(
    settings: RunSettings, output: OutputOptions, spark: SparkOptions, trials_file: Path | None, terminal: Terminal
) -> dict[str, Any]:
    """Run with the engine of the options; return the manifest with the study."""
    from scalr.runs import run

    if spark.engine == "spark":
        return spark.run(settings, output, trials_file, terminal)
    return run(
        settings,
        output.out,
        threads=output.threads,
        memory_limit=output.memory_bytes(),
        trials_file=trials_file,
        resume=output.resume,
        board=terminal,
    )


def _show(terminal: Terminal, manifest: Mapping[str, Any], out: Path, more: Mapping[str, Any] | None = None) -> None:
    from scalr.cli.results import show_conversions, show_evidence
    from scalr.cli.summaries import stages_table
    from scalr.studies import CONVERSIONS_SCHEMA

    terminal.result({key: value for key, value in manifest.items() if key != "evaluation"} | dict(more or {}))
    terminal.show(stages_table(manifest["stages"]))
    if "evaluation" in manifest:
        show = show_conversions if manifest["evaluation"]["schema"] == CONVERSIONS_SCHEMA else show_evidence
        show(terminal, manifest["evaluation"], out)


def _repeat(terminal: Terminal, file: Path, changes: tuple[str, ...], output: OutputOptions) -> None:
    """Repeat the run of a manifest, and report whether the results are equal."""
    from scalr.cli.results import shows_finished
    from scalr.runs import differences, plan_of, read_request, repeat_run

    request = read_request(file, changes)
    if output.resume and shows_finished(terminal, output.out, plan_of(request)):
        return
    with terminal:
        done = repeat_run(request, output.out, output.execution(terminal))
        for sentence in differences(request.manifest) if done.differing else ():
            terminal.note(f"! {sentence}")
    _show(terminal, done.manifest, output.out, {"equal": list(done.equal), "differing": list(done.differing)})
    if done.differing:
        terminal.show(f"[bold]Not the same[/bold]: {escaped(', '.join(done.differing))}")
    else:
        terminal.show(f"The same, byte for byte: {len(done.equal)} files of results.")
