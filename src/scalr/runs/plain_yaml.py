"""YAML as settings need it: plain values, each name once, no anchors, and no more than a person writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_MOST_BYTES = 1 << 17  # the longest file that `scalr init` writes has some 20,000
_DEEPEST = 20  # sections, lists and values within each other; settings need four


class PlainYamlError(ValueError):
    """What is not plain YAML; the message says why, without the name of a file."""


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    """The safe loader without aliases, by which a short file can stand for more than memory holds."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise PlainYamlError(
                f"an alias stands in line {mark.line + 1}: settings are written out, each where it belongs"
            )
        self._depth += 1
        if self._depth > _DEEPEST:
            raise PlainYamlError("it nests too deeply")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise PlainYamlError(f"it has the name '{name}' twice, in line {key.start_mark.line + 1}")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def parse(text: str) -> Any:
    """Return what YAML stands for.

    Raises:
        PlainYamlError: If it is no YAML, has aliases or a name twice, or nests too deeply.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except PlainYamlError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that does not exist
        raise PlainYamlError(" ".join(str(error).split())) from error


def read(file: Path) -> Any:
    """Return what a file of YAML in UTF-8 stands for.

    Raises:
        FileNotFoundError: If there is none.
        PlainYamlError: See `parse`; or it is no file, cannot be read, or is too long.
    """
    if file.exists() and not file.is_file():
        raise PlainYamlError("it is no file")
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise PlainYamlError(f"it has {size:,} bytes, more than {_MOST_BYTES:,}")
        return parse(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise PlainYamlError(str(error)) from error
