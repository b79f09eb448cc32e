"""Text forms of settings on the command line: sources by name, column names, privacy and alignment."""

from __future__ import annotations

from typing import Any

from scalr.foundation import ColumnSettings, ConfigError


def parse_sources(values: list[str]) -> dict[str, str] | str:
    """Return the files of `--source` by domain name, or the files alone for one value without a name.

    Raises:
        ConfigError: If one of several values has no name, or two have the same.
    """
    named = [_split_name(value) for value in values]
    if len(values) == 1 and named[0][0] is None:
        return values[0]
    sources: dict[str, str] = {}
    for name, files in named:
        if name is None or name in sources:
            raise ConfigError(
                f"--source '{files}' has no name of its own" if name is None else f"two sources are called '{name}'",
                expected="with several sources, each as NAME=FILES with a name of its own",
                fix="--source feed=feed.parquet --source video=video.parquet",
            )
        sources[name] = files
    return sources


def _split_name(value: str) -> tuple[str | None, str]:
    """Split NAME=FILES; a value whose part before '=' looks like a path has no name."""
    name, separator, files = value.partition("=")
    return (name, files) if separator and name and not set(name) & set("/\\.*") else (None, value)


def parse_columns(text: str | None) -> dict[str, str] | None:
    """Return column names by role for a text such as "user=member,item=sku"; None for None.

    Raises:
        ConfigError: If a part is not of that form, or no role has that name.
    """
    if text is None:
        return None
    roles = list(ColumnSettings.model_fields)
    parts = [part.partition("=") for part in text.split(",")]
    columns: dict[str, str] = {}
    for role, separator, name in ((role.strip(), separator, name.strip()) for role, separator, name in parts):
        if not separator or role not in roles:
            raise ConfigError(
                f"columns '{text}' cannot be read at '{role}'",
                expected=f"role=name, separated by commas, with the roles {', '.join(roles)}",
                fix="--source-columns user=member,item=sku",
            )
        if role in columns:
            raise ConfigError(
                f"columns '{text}' name '{role}' twice", expected="each role once", fix=f"remove one '{role}'"
            )
        columns[role] = name
    return columns


def parse_privacy(text: str | None) -> dict[str, Any]:
    """Return privacy settings for a text such as "k=5" or "epsilon=1,delta=1e-6"; none for None.

    Raises:
        ConfigError: If the text is not of that form.
    """
    if text is None:
        return {}
    kinds = {"k": int, "epsilon": float, "delta": float, "pairs_per_user": int}
    parts = [[side.strip() for side in part.split("=")] for part in text.split(",")]
    try:
        return {name: kinds[name](value) for name, value in parts}
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"--privacy '{text}' cannot be read",
            expected="k=N, with the least number N of distinct other users behind a pair of items; or epsilon=E, "
            "optionally with delta=D and pairs_per_user=M",
            fix="--privacy k=5",
        ) from error


def parse_alignment(text: str) -> dict[str, list[str]] | None:
    """Return alignment settings for a list of marginals, separated by commas; None for no alignment."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return None if names in ([], ["none"]) else {"by": names}
