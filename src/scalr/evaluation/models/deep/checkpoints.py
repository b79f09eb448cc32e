"""Epochs of a training in files, from which an interrupted training continues. Imported on use: it needs torch."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from scalr.evaluation.models.deep.rows import RowSource
from scalr.foundation import ConfigError, TrainSettings

State = dict[str, Any]
CONTENTS = 2  # version of a file's contents; files of another version count as another training


@dataclass(frozen=True, slots=True)
class EpochCheckpoints:
    """A folder with one file per epoch.

    Attributes:
        folder: The folder.
        identity: Digest of network, settings, seed and the rows of the first epoch.
    """

    folder: Path
    identity: str

    @classmethod
    def at(cls, folder: Path, asked: tuple[str, TrainSettings, int], sources: tuple[RowSource, ...]) -> Self:
        """Open or create the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, _identity(asked, sources))

    @classmethod
    def within(cls, root: Path, asked: tuple[str, TrainSettings, int], sources: tuple[RowSource, ...]) -> Self:
        """Open or create a folder for this training, named by its identity, in a folder of many trainings."""
        identity = _identity(asked, sources)
        folder = root / identity
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, identity)

    def load(self, number: int) -> State | None:
        """Return the state after epoch `number`; None if it is not stored.

        Raises:
            ConfigError: If the stored state belongs to another training.
        """
        file = self._file(number)
        if not file.exists():
            return None
        state: State = torch.load(file, weights_only=True, map_location="cpu")
        if state.pop("identity") != self.identity:
            raise ConfigError(
                f"'{file}' belongs to another training",
                expected="epochs of the same network, rows, settings and seed",
                fix="use another folder, or remove this one",
            )
        return state

    def save(self, number: int, state: State) -> None:
        """Store the state after epoch `number`; the file appears whole or not at all."""
        part = self._file(number).with_suffix(
            f".part-{threading.get_ident()}"
        )  # the same training may run in two threads
        torch.save({**state, "identity": self.identity}, part)
        os.replace(part, self._file(number))

    def _file(self, number: int) -> Path:
        return self.folder / f"pass-{number:04d}.pt"


def _identity(asked: tuple[str, TrainSettings, int], sources: tuple[RowSource, ...]) -> str:
    name, settings, seed = asked
    told = settings.model_dump_json(exclude={"checkpoints"})  # the folder does not change the epochs
    digest = hashlib.blake2b(f"{CONTENTS} {name} {seed} {told}".encode(), digest_size=16)
    for source in sources:
        for rows in source.portions(0):
            for column in (rows.number, rows.user, rows.item, rows.weight, rows.is_synthetic):
                digest.update(column.tobytes())
    return digest.hexdigest()
