"""`scalr generate`: stage one alone."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal, shown
from scalr.cli.inputs import LogOptions, StepOptions
from scalr.cli.spark import SparkOptions
from scalr.logs import Columns

EXAMPLE = "Example: scalr generate --source feed.parquet --target ads.parquet --out synthetic --draws 4"


def command(
    source: o.SourceOption,
    target: o.TargetOption,
    out: o.OutOption,
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
    translator: o.TranslatorOption = "cooccurrence",
    draws: o.DrawsOption = 4,
    strategy: o.StrategyOption = "sample",
    temperature: o.TemperatureOption = 1.0,
    min_support: o.MinSupportOption = 1,
    history_cap: o.HistoryCapOption = None,
    window_days: o.WindowOption = None,
    backoff: o.BackoffOption = 0.0,
    duplicates: o.DuplicatesOption = "keep",
    align: o.AlignOption = "value",
    privacy: o.PrivacyOption = None,
    negatives: Annotated[
        Literal["none", "rate"],
        typer.Option(
            "--negatives",
            help="'rate': rows with label 0 that keep the base rate of a target log of impressions.",
            rich_help_panel=o.STEPS,
        ),
    ] = "none",
    negatives_per_positive: Annotated[
        int,
        typer.Option(
            "--negatives-per-positive",
            metavar="N",
            help="Most of them per synthetic event, each weighing more; 0 for as many as the rate asks for.",
            rich_help_panel=o.STEPS,
        ),
    ] = 10,
    seed: o.SeedOption = 0,
    layout: Annotated[
        Literal["target", "compact"],
        typer.Option("--layout", help="Write the target log's columns, or integer codes.", rich_help_panel=o.OUTPUT),
    ] = "target",
    check_leaks: Annotated[
        bool,
        typer.Option(
            "--check-leaks",
            help="Report columns that tell synthetic rows from real ones (extra 'models').",
            rich_help_panel=o.OUTPUT,
        ),
    ] = False,
    drop_leaky: Annotated[
        bool, typer.Option("--drop-leaky", help="Leave such columns out as well.", rich_help_panel=o.OUTPUT)
    ] = False,
    threads: o.ThreadsOption = None,
    memory_limit: o.MemoryLimitOption = None,
    engine: o.EngineOption = "local",
    spark_master: o.SparkMasterOption = None,
    spark_conf: o.SparkConfOption = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--day",
            metavar="YYYY-MM-DD",
            help="--engine spark: only synthetic events of this day, into a part of --out of its own; other days that "
            "are there stay.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="--engine spark: from counts alone say what it would take, and write nothing.",
            rich_help_panel=o.OUTPUT,
        ),
    ] = False,
    resume: o.ResumeOption = False,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Draw synthetic target events for all source events, refine them, and write them as Parquet."""
    from scalr.cli.results import shows_finished
    from scalr.cli.summaries import pair_table, reach, stages_table
    from scalr.foundation import use_lean_allocator
    from scalr.logs import summarise
    from scalr.runs import Execution, RunPlan, check_free, generation_request, write_generation
    from scalr.studies import privacy_sentence
    from scalr.synthesis import LeakCheck

    options = SparkOptions(engine, spark_master, spark_conf or [], day, dry_run)
    options.check(layout, leaks=check_leaks or drop_leaky, resume=resume)
    if day is None and not resume:
        check_free(out)
    use_lean_allocator()
    limit = o.memory_limit(memory_limit)
    columns = Columns(user, item, time, label, value, weight)
    logs = LogOptions(
        source, target, items, columns, source_columns, target_columns, time_unit, ids, drop_nulls,
        item_columns=negatives != "none",
    )  # fmt: skip
    logs.refuse_inside(out)
    steps = StepOptions(
        seed, translator, draws, strategy, temperature, min_support, history_cap, window_days, backoff, duplicates,
        align, privacy,
    ).steps(negatives={"kind": negatives, "per_positive": negatives_per_positive or None})  # fmt: skip
    if engine == "spark":
        options.generate(logs, steps, out, Terminal(quiet=quiet, as_json=as_json))
        return
    leaks: LeakCheck = "drop" if drop_leaky else "report" if check_leaks else "off"
    asked = generation_request(steps, logs.settings(), layout, leaks)
    if resume and shows_finished(Terminal(quiet=quiet, as_json=as_json), out, RunPlan("generate", asked)):
        return
    with Terminal(quiet=quiet, as_json=as_json) as terminal:
        manifest, pair = write_generation(
            lambda room, board: logs.read(terminal, room), steps, out, inputs=logs.settings(), layout=layout,
            leaks=leaks, execution=Execution(threads, limit, resume, board=terminal),
        )  # fmt: skip
        if not manifest["synthetic_events"]:
            terminal.note("! No synthetic event was made: no draw passed support, window and filters; see the stages.")
    terminal.result(manifest)
    if "leaks" in manifest:
        terminal.show(*(shown(sentence) for sentence in manifest["leaks"]["sentences"]), "")
    terminal.show(
        pair_table(summarise(pair).to_json()),
        stages_table(manifest["stages"]),
        f"\n{reach(manifest)}. Report: {shown(out / 'report.html')}",
        *filter(None, [privacy_sentence(manifest["privacy"])]),
        "Whether they help a model is another question: [bold]scalr study[/bold] answers it.",
    )
