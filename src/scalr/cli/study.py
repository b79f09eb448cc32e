"""`scalr study`: what the synthetic events are worth."""

from __future__ import annotations

from typing import Annotated

import typer

from scalr.cli import options as o
from scalr.cli.console import Terminal
from scalr.cli.inputs import LogOptions, StepOptions, refuse_noise, sweep_names
from scalr.cli.results import show_conversions, show_evidence, show_sweeps
from scalr.foundation import ConfigError
from scalr.logs import Columns

EXAMPLE = "Example: scalr study --source feed.parquet --target ads.parquet --hide-overlap 0.5 --seeds 5 --out evidence"


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
    split: Annotated[
        str, typer.Option("--split", metavar="time|random", help="How the logs are cut.", rich_help_panel=o.STEPS)
    ] = "time",
    test_share: Annotated[
        float,
        typer.Option("--test-share", help="Share of target events, the last ones, that test.", rich_help_panel=o.STEPS),
    ] = 0.2,
    test_from: Annotated[
        str | None,
        typer.Option("--test-from", metavar="DATE", help="First instant of the test period.", rich_help_panel=o.STEPS),
    ] = None,
    hide_overlap: Annotated[
        float,
        typer.Option(
            "--hide-overlap", help="Share of overlap users whose target history is hidden.", rich_help_panel=o.STEPS
        ),
    ] = 0.0,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Repetitions.", rich_help_panel=o.STEPS)] = 5,
    arms: Annotated[
        str | None,
        typer.Option(
            "--arms",
            metavar="a,b,...",
            help="Arms to compare, or all; nine without: no distillation, collective, emcdr.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Downstream model: mf; with the extra 'models' lightgbm, implicit_als; with the extra 'torch' "
            "two_tower, wide_deep, deepfm, dcn_v2, sasrec.",
            rich_help_panel=o.STEPS,
        ),
    ] = "mf",
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            metavar="binary|in_batch",
            help="What it minimises; in_batch (softmax over the batch, logQ correction) for two_tower only.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="DIR",
            help="Networks keep every pass of every training there; a study that was cut off goes on.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    objective: Annotated[
        str,
        typer.Option("--objective", metavar="auxiliary|joint|thinned", help="How it learns.", rich_help_panel=o.STEPS),
    ] = "auxiliary",
    synthetic_weight: Annotated[
        float, typer.Option("--synthetic-weight", help="Weight λ of synthetic events.", rich_help_panel=o.STEPS)
    ] = 0.3,
    shrinkage: Annotated[
        float,
        typer.Option(
            "--shrinkage",
            metavar="κ",
            help="Weights times κ / (κ + the user's real events); 0 for none.",
            rich_help_panel=o.STEPS,
        ),
    ] = 4.0,
    conversions: Annotated[
        bool,
        typer.Option(
            "--conversions",
            help="The target log holds impressions with labels 0 and 1: judge on real impressions of the test period, "
            "with calibration. Arms: real_only, random_items, popular_items, shuffled_users, top1, scalr. Needs the "
            "extra 'models'.",
            rich_help_panel=o.STEPS,
        ),
    ] = False,
    label_delay_days: Annotated[
        float,
        typer.Option(
            "--label-delay-days",
            metavar="D",
            help="--conversions: days until the label of an impression is known; younger ones are not fitted.",
            rich_help_panel=o.STEPS,
        ),
    ] = 0.0,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="NAME,...",
            help="Change one setting at a time instead of comparing arms, all other options being the base: sampling, "
            "volume, weight, alignment, support, overlap, objective, shrinkage, or all. Writes sweeps.json, a figure "
            "each and what the paper claims beside what these logs show; --arms and --gate do not matter then.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    translator: o.TranslatorOption = "auto",
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
    trials: Annotated[
        int,
        typer.Option("--trials", metavar="N", help="--translator auto: settings to try.", rich_help_panel=o.STEPS),
    ] = 36,
    budget_seconds: Annotated[
        float | None,
        typer.Option(
            "--budget-seconds",
            metavar="S",
            help="--translator auto: begin no new round of trials after so long.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    baseline_trials: Annotated[
        int,
        typer.Option(
            "--baseline-trials",
            metavar="N",
            help="Settings that real events alone may try, for all arms; 0 for none.",
            rich_help_panel=o.STEPS,
        ),
    ] = 36,
    rival_trials: Annotated[
        int,
        typer.Option(
            "--rival-trials",
            metavar="N",
            help="Strengths that each conventional method may try.",
            rich_help_panel=o.STEPS,
        ),
    ] = 6,
    gate: Annotated[
        bool | None,
        typer.Option(
            "--gate/--no-gate",
            help="Switch augmentation off for users (warm, cold) whom validation does not show to gain; on with "
            "--translator auto.",
            rich_help_panel=o.STEPS,
        ),
    ] = None,
    trials_file: o.TrialsFileOption = None,
    seed: o.SeedOption = 0,
    threads: o.ThreadsOption = None,
    quiet: o.QuietOption = False,
    as_json: o.JsonOption = False,
) -> None:
    """Train with and without synthetic events, and with controls, over several seeds; say in words what helped."""
    from scalr.cli.summaries import pair_table
    from scalr.foundation import ARMS, CONVERSION_ARMS
    from scalr.logs import summarise
    from scalr.runs import EVENT_STUDY, IMPRESSION_STUDY, Execution, LoadedLogs, check_free, sweep_study, write_study
    from scalr.studies import check_model_and_translator

    check_free(out)
    if conversions and sweep is not None:
        raise ConfigError(
            "--conversions and --sweep are given together",
            expected="one of them: sweeps are of logs without labels",
            fix="leave one of them out",
        )
    names = None if sweep is None else sweep_names(sweep)
    every = CONVERSION_ARMS if conversions else ARMS
    named = {} if arms is None else {"arms": every if arms == "all" else [arm.strip() for arm in arms.split(",")]}
    columns = Columns(user, item, time, label, value, weight)
    logs = LogOptions(
        source, target, items, columns, source_columns, target_columns, time_unit, ids, drop_nulls,
        item_columns=conversions,
    )  # fmt: skip
    logs.refuse_inside(out)
    chosen = StepOptions(
        seed, translator, draws, strategy, temperature, min_support, history_cap, window_days, backoff, duplicates,
        align, privacy,
    )  # fmt: skip
    steps = chosen.steps(
        split={"by": split, "test_share": test_share, "test_from": test_from, "hide_overlap": hide_overlap},
        train={
            "model": model,
            "loss": loss,
            "checkpoints": checkpoints,
            "objective": objective,
            "synthetic_weight": synthetic_weight,
            "shrinkage": shrinkage or None,
        },
        conversions={"label_delay_days": label_delay_days} | (named if conversions else {}),
        study={
            "seeds": seeds,
            "trials": trials,
            "budget_seconds": budget_seconds,
            "baseline_trials": baseline_trials,
            "rival_trials": rival_trials,
            "gate": gate,
        }
        | ({} if conversions else named),
    )
    refuse_noise(steps)
    check_model_and_translator(steps)
    with Terminal(quiet=quiet, as_json=as_json) as terminal:
        stored, receipt = logs.read(terminal)
        kind = IMPRESSION_STUDY if conversions else EVENT_STUDY if names is None else sweep_study(names)
        execution = Execution(threads, trials_file=trials_file, board=terminal)
        loaded = LoadedLogs(stored.load(), receipt)
        content = write_study(loaded, kind, steps, out, inputs=logs.settings(), execution=execution)
    terminal.result(content)
    terminal.show(pair_table(summarise(stored).to_json()))
    show = show_conversions if conversions else show_evidence if names is None else show_sweeps
    show(terminal, content, out)
