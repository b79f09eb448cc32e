"""`scalr generate`: synthetic events without a study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from scalr.cli.console import Terminal, escaped
from scalr.cli.inputs import check_output, read_with_warnings
from scalr.cli.option_groups import OptionGroup, with_options
from scalr.cli.options import DISPLAY, LOGS, OUTPUT, OUTPUT_PANEL, DisplayOptions, OutputOptions, steps_of
from scalr.cli.spark import SPARK_BY_DAY, SparkOptions
from scalr.foundation import LogSettings, Option, RowSettings, Steps

EXAMPLE = "Example: scalr generate --source feed.parquet --target ads.parquet --out synthetic --draws 4"


class GenerateOptions(RowSettings):
    """Form of the synthetic rows, and which columns are checked."""

    check_leaks: Annotated[bool, Option("--check-leaks")] = False
    """Report columns that separate synthetic rows from real rows (extra `models`)."""
    drop_leaky: Annotated[bool, Option("--drop-leaky")] = False
    """Report and remove columns that separate synthetic rows from real rows."""

    @property
    def leaks(self) -> Literal["off", "report", "drop"]:
        """Return the action for columns that separate synthetic rows from real rows."""
        return "drop" if self.drop_leaky else "report" if self.check_leaks else "off"


@with_options(
    logs=LOGS,
    steps=steps_of("translate", "sample", "refine", "negatives", "seed"),
    output=OUTPUT,
    rows=OptionGroup(GenerateOptions, OUTPUT_PANEL),
    spark=SPARK_BY_DAY,
    display=DISPLAY,
)
def command(
    logs: LogSettings,
    steps: Steps,
    output: OutputOptions,
    rows: GenerateOptions,
    spark: SparkOptions,
    display: DisplayOptions,
) -> None:
    """Draw synthetic target events for all source events, refine them, and write them as Parquet."""
    from scalr.cli.results import shows_finished
    from scalr.foundation import use_lean_allocator
    from scalr.runs import RunPlan, check_free, generation_request

    spark.check(rows.layout, leaks=rows.leaks != "off", resume=output.resume)
    if spark.day is None and not output.resume:
        check_free(output.out)
    use_lean_allocator()
    output.memory_bytes()
    check_output(output.out, logs)
    terminal = display.terminal()
    if spark.engine == "spark":
        spark.generate(logs, steps, output.out, terminal)
        return
    request = generation_request(steps, logs.model_dump(mode="json"), rows.layout, rows.leaks)
    if output.resume and shows_finished(terminal, output.out, RunPlan("generate", request)):
        return
    _generate(logs, steps, output, rows, terminal)


def _generate(
    logs: LogSettings, steps: Steps, output: OutputOptions, rows: GenerateOptions, terminal: Terminal
) -> None:
    """Generate with the local engine and print the result."""
    from scalr.cli.summaries import logs_table
    from scalr.logs import summarise
    from scalr.runs import write_generation

    item_columns = steps.negatives.kind != "none"
    with terminal:
        manifest, pair = write_generation(
            lambda room, board: read_with_warnings(logs, terminal, room, item_columns=item_columns),
            steps,
            output.out,
            inputs=logs.model_dump(mode="json"),
            layout=rows.layout,
            leaks=rows.leaks,
            execution=output.execution(terminal),
        )
        if not manifest["synthetic_events"]:
            terminal.note("! No synthetic event was made: no draw passed support, window and filters; see the stages.")
    terminal.result(manifest)
    _show(terminal, manifest, output, logs_table(summarise(pair).to_json()))


def _show(terminal: Terminal, manifest: dict[str, Any], output: OutputOptions, logs: Any) -> None:
    from scalr.cli.summaries import coverage_sentence, stages_table
    from scalr.studies import privacy_sentence

    if "leaks" in manifest:
        terminal.show(*(escaped(sentence) for sentence in manifest["leaks"]["sentences"]), "")
    terminal.show(
        logs,
        stages_table(manifest["stages"]),
        f"\n{coverage_sentence(manifest)}. Report: {escaped(output.out / 'report.html')}",
        *filter(None, [privacy_sentence(manifest["privacy"])]),
        "To measure whether they help a model, run [bold]scalr study[/bold].",
    )
