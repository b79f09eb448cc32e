"""Parquet files whose footers and pages claim what they do not hold, or hold far more than their bytes let expect."""

import pyarrow as pa
from tests.trust.bad_files import footer_start, parquet
from tests.trust.battery import Case, Desk, mapped, with_bytes

HELD = 48_000_000
"""Bytes that a page of a few kilobytes unpacks to."""
ROWS_SAY = "source.parquet cannot be read as Parquet: row group 0 has 60 rows, but its footer says"
PLAIN = {"use_dictionary": False, "write_statistics": False}


def _number(value: int) -> bytes:
    """Return an integer as Thrift's compact protocol writes it."""
    zigzag, made = (value << 1) ^ (value >> 63), b""
    zigzag &= (1 << 64) - 1
    while zigzag >= 128:
        made += bytes([zigzag & 127 | 128])
        zigzag >>= 7
    return made + bytes([zigzag])


def _claiming(desk: Desk, rows: int, most: int = -1) -> bytes:
    """Return the source log with a footer that names another number of rows, in all of its places or in the first.

    The first place is the file's own count; then come those of the columns and of the row group.
    """
    whole = parquet(desk.source, **PLAIN)
    start = footer_start(whole)
    old, footer = b"\x16" + _number(len(desk.source)), whole[start:-8]
    assert footer.count(old) == 1 + len(desk.source.column_names) + 1
    footer = footer.replace(old, b"\x16" + _number(rows), most)
    return whole[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _rows(rows: int, says: str, most: int = -1) -> Case:
    return with_bytes("source.parquet", lambda desk: _claiming(desk, rows, most), says)


def held(desk: Desk, packer: str, size: int) -> bytes:
    """Return the source log with one user id of so many letters, all the same: a page that unpacks to as much."""
    users = [str(user) for user in desk.source["user_id"].to_pylist()]
    desk.source = desk.source.set_column(0, "user_id", pa.array(["x" * size, *users[1:]]))
    desk.target = mapped("user_id", str)(desk.target)
    return parquet(desk.source, compression=packer, **PLAIN)


def _unread(desk: Desk) -> bytes:
    table = desk.source.append_column("title", pa.array(["x" * HELD, *["a"] * (len(desk.source) - 1)]))
    return parquet(table, compression="zstd", **PLAIN)


def page_claiming(desk: Desk, packer: str, size: int) -> bytes:
    """Return the source log with a first page that says it unpacks to `size` bytes, and does to some 2 MB."""
    whole = held(desk, packer, 2_000_000)
    assert whole[4:7] == b"\x15\x00\x15"  # a data page, and the field of its size
    change = _number(size)
    assert [byte >> 7 for byte in whole[7 : 7 + len(change)]] == [byte >> 7 for byte in change]  # as long as before
    return whole[:7] + change + whole[7 + len(change) :]


def _bomb(packer: str, size: int = HELD) -> Case:
    return with_bytes("source.parquet", lambda desk: held(desk, packer, size), "has a value of 48,000,000 bytes")


def _claim(packer: str, size: int) -> Case:
    return with_bytes(
        "source.parquet",
        lambda desk: page_claiming(desk, packer, size),
        "source.parquet cannot be read as Parquet",
    )


CLAIMS = {
    "a footer of 10^12 rows": _rows(10**12, f"{ROWS_SAY} 1,000,000,000,000"),
    "a footer of 2^62 rows": _rows(2**62, f"{ROWS_SAY} 4,611,686,018,427,387,904"),
    "a footer of one row too many": _rows(61, f"{ROWS_SAY} 61"),
    "a footer of fewer rows than none": _rows(-5, "source.parquet cannot be read as Parquet"),
    "a file of 2^63 - 1 rows in one group of 60": _rows(2**63 - 1, "the row groups have 60 rows", 1),
    "a file of fewer rows than its group": _rows(59, "the row groups have 60 rows", 1),
    "a zstd page that claims 134 MB": _claim("zstd", 134_000_000),
    "a snappy page that claims 134 MB": _claim("snappy", 134_000_000),
    "a gzip page that claims 134 MB": _claim("gzip", 134_000_000),
    "a zstd page that claims less than it holds": _claim("zstd", 1_100_000),
    "a zstd bomb of 48 MB": _bomb("zstd"),
    "a snappy bomb of 48 MB": _bomb("snappy"),
    "a bomb in a column of no role": with_bytes("source.parquet", _unread, None),
}
