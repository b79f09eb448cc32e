"""`scalr study`: the effect of synthetic events on downstream models."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from scalr.cli.inputs import check_output, read_with_warnings, refuse_noise
from scalr.cli.option_groups import OptionGroup, with_options
from scalr.cli.options import DISPLAY, LOGS, OUTPUT, STEPS_PANEL, DisplayOptions, OutputOptions, TrialsOptions, steps_of
from scalr.foundation import ARMS, CONVERSION_ARMS, ConfigError, LogSettings, Option, Steps

EXAMPLE = "Example: scalr study --source feed.parquet --target ads.parquet --hide-overlap 0.5 --seeds 5 --out evidence"
SECTIONS = ("split", "study", "train", "conversions", "translate", "sample", "refine", "seed")


class StudyOptions(TrialsOptions):
    """Which study is run."""

    conversions: Annotated[bool, Option("--conversions")] = False
    """Evaluate on real impressions of the test period, with calibration: the target log holds impressions with labels 0
    and 1. Arms: real_only, random_items, popular_items, shuffled_users, top1, scalr. Needs the extra `models`."""
    sweep: Annotated[str | None, Option("--sweep", metavar="NAME,...")] = None
    """Vary one setting at a time instead of comparing arms: sampling, volume, weight, alignment, support, overlap,
    hide_overlap, objective, shrinkage, or all. All other options are the base. Writes sweeps.json, a figure per sweep,
    and the claims of the paper beside the results on these logs; --arms and --gate have no effect."""
    arms: Annotated[str | None, Option("--arms", metavar="a,b,...")] = None
    """Arms to compare, or all; nine by default, without distillation, collective and emcdr."""

    def with_arms(self, steps: Steps) -> Steps:
        """Return settings with the named arms.

        Raises:
            ConfigError: If an arm does not exist.
        """
        if self.arms is None:
            return steps
        section, every = ("conversions", CONVERSION_ARMS) if self.conversions else ("study", ARMS)
        values = steps.model_dump()
        values[section]["arms"] = every if self.arms == "all" else [arm.strip() for arm in self.arms.split(",")]
        return Steps.parse(values, "the command line")

    def sweeps(self) -> tuple[str, ...]:
        """Return the names of the sweeps; none for a comparison of arms.

        Raises:
            ConfigError: If a sweep does not exist, or conversions are to be studied.
        """
        from scalr.studies import checked_names

        if self.sweep is None:
            return ()
        if self.conversions:
            raise ConfigError(
                "--conversions and --sweep are given together",
                expected="one of them: sweeps are for logs without labels",
                fix="remove one of them",
            )
        return checked_names(name.strip() for name in self.sweep.split(",") if name.strip())


@with_options(
    logs=LOGS,
    study=OptionGroup(StudyOptions, STEPS_PANEL),
    steps=steps_of(*SECTIONS, translate__translator="auto"),
    output=replace(OUTPUT, only=("out", "threads")),
    display=DISPLAY,
)
def command(
    logs: LogSettings, study: StudyOptions, steps: Steps, output: OutputOptions, display: DisplayOptions
) -> None:
    """Train with and without synthetic events, and with controls, over several seeds; report what helps."""
    from scalr.cli.results import show_conversions, show_evidence, show_sweeps
    from scalr.cli.summaries import logs_table
    from scalr.logs import summarise
    from scalr.runs import EVENT_STUDY, IMPRESSION_STUDY, LoadedLogs, check_free, sweep_study, write_study
    from scalr.studies import check_model_and_translator

    check_free(output.out)
    sweeps, steps = study.sweeps(), study.with_arms(steps)
    check_output(output.out, logs)
    refuse_noise(steps)
    check_model_and_translator(steps)
    kind = IMPRESSION_STUDY if study.conversions else sweep_study(sweeps) if sweeps else EVENT_STUDY
    with display.terminal() as terminal:
        stored, receipt = read_with_warnings(logs, terminal, item_columns=study.conversions)
        execution = output.execution(terminal, study.trials_file)
        inputs = logs.model_dump(mode="json")
        loaded = LoadedLogs(stored.load(), receipt)
        content = write_study(loaded, kind, steps, output.out, inputs=inputs, execution=execution)
    terminal.result(content)
    terminal.show(logs_table(summarise(stored).to_json()))
    show = show_conversions if study.conversions else show_sweeps if sweeps else show_evidence
    show(terminal, content, output.out)
