"""Values that the stages of a job hand on: logs for a study, generated events, evidence, and what a page shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalr.foundation import Receipt, Steps
from scalr.logs import Pair, StoredPair
from scalr.report import contents_of, write_report
from scalr.runs.execution import StudyResources
from scalr.synthesis import EventFacts

REPORT = "report.html"
EVENTS_PAGE = "events.html"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What the manifest records about synthetic events, and about how they came about.

    Attributes:
        steps: The settings that made them, chosen ones among them.
        pair: The logs.
        facts: Facts at the top level, such as their number.
        receipts: One per stage, from reading on.
        settings: Further settings: the engine, or the kind of study.
    """

    steps: Steps
    pair: Pair | StoredPair
    facts: Mapping[str, Any]
    receipts: tuple[Receipt, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StudySample:
    """Logs that a study gets.

    Attributes:
        pair: The logs in memory.
        receipts: Receipts of reading them.
        facts: What the manifest records about how they were selected.
        notes: Sentences about that for the report.
    """

    pair: Pair
    receipts: tuple[Receipt, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """Synthetic events that an engine has written.

    Attributes:
        record: What the manifest records.
        events: The events in numbers, for a report; None where the engine does not collect them.
        digests: SHA-256 of files that are known already.
        leaks: Columns that identify synthetic rows; empty where nothing was looked for.
    """

    record: Record
    events: EventFacts | None = None
    digests: Mapping[Path, str] = field(default_factory=dict)
    leaks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What the pages of a job show beside its evidence.

    Attributes:
        pair: The logs.
        settings: All settings.
        title: Title; None names the domains.
        notes: Sentences to read before any number.
        generated: The synthetic events of the whole logs; None where a study is the whole job.
    """

    pair: Pair | StoredPair
    settings: Mapping[str, Any]
    title: str | None
    notes: tuple[str, ...]
    generated: Generated | None

    def write_events(self, file: Path) -> None:
        """Write a page on the generated events alone; nothing where the engine does not collect them."""
        if self.generated is None or self.generated.events is None:
            return
        shown = contents_of(
            self.generated.events, pair=self.pair, receipts=self.generated.record.receipts, settings=self.settings,
            title=self.title, notes=self.notes, leaks=self.generated.leaks,
        )  # fmt: skip
        write_report(file, shown)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A finished study of any kind.

    Attributes:
        record: What the manifest records where the study is the whole job.
        sample: The logs that were studied.
        chosen: The settings with those that the study chose; events of the whole logs are generated with them.
        receipt: Receipt of the study itself.
        content: Content of its JSON file.
        write_pages: Writes `report.html`, and figures beside it, into a folder.
    """

    record: Record
    sample: StudySample
    chosen: Steps
    receipt: Receipt
    content: dict[str, Any]
    write_pages: Callable[[Path, Page], None]


@dataclass(frozen=True, slots=True, eq=False)
class StudyKind:
    """A kind of study: of events, of impressions, or a sweep of settings.

    Attributes:
        study: Studies logs with some settings and resources.
        file: Name of the file with the content of the study, where the study is the whole job.
    """

    study: Callable[[StudySample, Steps, StudyResources], Evidence]
    file: str = "study.json"
