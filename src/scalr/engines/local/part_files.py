"""Part files of the local engine: each appears whole, with its digest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from scalr.logs import file_digest
from scalr.synthesis import Count, PartWriter, Rows, StageClock, TableBuilder


class PartFiles:
    """The part files of a folder; parts without rows have none. Each thread builds tables with its own builder.

    Args:
        folder: An existing folder.
        builder: Turns rows into tables.

    Attributes:
        digests: SHA-256 of each finished file.
    """

    def __init__(self, folder: Path, builder: TableBuilder) -> None:
        self._folder, self._builder = folder, builder
        self._thread = threading.local()
        self.digests: dict[Path, str] = {}

    def has(self, number: int, digest: str | None) -> bool:
        """Return whether the file of a part is unchanged; None is the digest of a part without rows."""
        file = self._file(number)
        if digest is not None and file.is_file() and file_digest(file) == digest:
            self.digests[file] = digest
        return self.digest(number) == digest

    def digest(self, number: int) -> str | None:
        """Return the SHA-256 of a part's file; None if it has none."""
        return self.digests.get(self._file(number))

    @contextmanager
    def writer(self, number: int, count: Count) -> Iterator[Callable[[Rows], None]]:
        """Yield a function that writes rows to the part's file; the file is finished at the end."""
        writers: list[PartWriter] = []

        def write(rows: Rows) -> None:
            if not len(rows):
                return
            clock = StageClock(count)
            if not writers:
                writers.append(self._open(number))
            writers[0].write(self._build(rows))
            count.add("emit", len(rows))
            clock.lap("emit")

        try:
            yield write
        except BaseException:
            for writer in writers:
                with suppress(OSError):  # the first error matters more than that of closing
                    writer.close()
            raise
        clock = StageClock(count)
        for writer in writers:
            self._finish(number, writer)
        clock.lap("emit")

    def finish(self) -> None:
        """Remove files of unfinished parts; write an empty file if there are no events, so that readers find columns.

        Unfinished files come from a run that was interrupted.
        """
        for file in self._folder.iterdir():
            if file not in self.digests:
                file.unlink()
        if not self.digests:
            writer = self._open(0)
            writer.close()
            writer.file.replace(self._file(0))

    def _build(self, rows: Rows) -> pa.Table:
        if not hasattr(self._thread, "builder"):
            self._thread.builder = self._builder.fork()
        return self._thread.builder(rows)

    def _finish(self, number: int, writer: PartWriter) -> None:
        writer.close()
        file = self._file(number)
        self.digests[file] = file_digest(writer.file)  # while its pages are still in memory
        writer.file.replace(file)

    def _file(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}.parquet"

    def _open(self, number: int) -> PartWriter:
        return PartWriter(self._file(number).with_suffix(".growing"), self._builder.schema, self._builder.coded)
