"""YAML for settings: plain values, unique names, no aliases, limited size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_MOST_BYTES = 1 << 17  # the longest file of `scalr init` has about 20,000
_DEEPEST = 20  # nested sections, lists and values; settings need four


class PlainYamlError(ValueError):
    """The text is not plain YAML; the message gives the reason without the file name."""


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    """The safe loader without aliases; with aliases a short file can expand to more than memory holds."""

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
    """Return the value of a YAML text.

    Raises:
        PlainYamlError: If it is not YAML, has aliases or repeated names, or nests too deeply.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except PlainYamlError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that does not exist
        raise PlainYamlError(" ".join(str(error).split())) from error


def read(file: Path) -> Any:
    """Return the value of a YAML file in UTF-8.

    Raises:
        FileNotFoundError: If the file does not exist.
        PlainYamlError: See `parse`; also if the path is not a file, cannot be read, or is too long.
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
