"""DuckDB SQL: join, group by, ASOF join; on string ids, or on integers that are joined to ids at the end."""

from __future__ import annotations

from pathlib import Path

import duckdb
from benchmarks.baselines import GENERATION_ID, SOURCE_DOMAIN

_IDS = """
CREATE VIEW events AS
    SELECT user_id AS u, item_id AS j, timestamp, row_number() OVER () - 1 AS source_event FROM source_log;
CREATE TABLE target_pairs AS SELECT DISTINCT user_id AS u, item_id AS i FROM target_log;
"""
_CODES = """
CREATE TABLE users AS
    SELECT user_id, row_number() OVER ()::INTEGER AS u
    FROM (SELECT user_id FROM source_log UNION SELECT user_id FROM target_log);
CREATE TABLE source_items AS
    SELECT source_item, row_number() OVER ()::INTEGER AS j
    FROM (SELECT DISTINCT item_id AS source_item FROM source_log);
CREATE TABLE target_items AS
    SELECT item_id, row_number() OVER ()::INTEGER AS i FROM (SELECT DISTINCT item_id FROM target_log);
CREATE TABLE events AS
    SELECT u, j, timestamp, row_number() OVER () - 1 AS source_event
    FROM source_log JOIN users USING (user_id) JOIN source_items ON item_id = source_item;
CREATE TABLE target_pairs AS
    SELECT DISTINCT u, i FROM target_log JOIN users USING (user_id) JOIN target_items USING (item_id);
"""
_COUNTS = """
CREATE TABLE counts AS
    SELECT *,
        sum(support) OVER (PARTITION BY j ORDER BY i) - support AS start,
        sum(support) OVER (PARTITION BY j) AS total
    FROM (
        SELECT j, i, count(*) AS support
        FROM (SELECT DISTINCT u, j FROM events) JOIN target_pairs USING (u)
        GROUP BY ALL
    );
"""


def generate(source: Path, target: Path, out: Path, draws: int, seed: int) -> None:
    """Write `draws` synthetic events for every source event whose item has a count."""
    _generate(source, target, out, draws, seed, _IDS, "u AS user_id, i AS item_id, j AS source_item", "")


def generate_by_codes(source: Path, target: Path, out: Path, draws: int, seed: int) -> None:
    """Write the same events, with integers in place of ids until the end."""
    back = "JOIN users USING (u) JOIN target_items USING (i) JOIN source_items USING (j)"
    _generate(source, target, out, draws, seed, _CODES, "user_id, item_id, source_item", back)


def _generate(
    source: Path, target: Path, out: Path, draws: int, seed: int, tables: str, ids: str, joined_back: str
) -> None:
    connection = duckdb.connect(config={"temp_directory": f"{out}.tmp"})
    connection.execute("SELECT setseed(?)", [1 / (2 + seed)])
    connection.execute(f"CREATE VIEW source_log AS FROM read_parquet('{source}')")
    connection.execute(f"CREATE VIEW target_log AS FROM read_parquet('{target}')")
    connection.execute(tables + _COUNTS)
    connection.execute(
        f"""
        COPY (
            WITH totals AS (SELECT j, any_value(total) AS total FROM counts GROUP BY j),
            own AS (SELECT u, count(*) AS n_own FROM target_pairs GROUP BY u),
            points AS (
                SELECT events.*, draw, coalesce(n_own, 0) AS n_own, random() * total AS point
                FROM events JOIN totals USING (j) LEFT JOIN own USING (u) CROSS JOIN range({draws}) AS numbers(draw)
                WHERE total > coalesce(n_own, 0)
            ),
            drawn AS (
                SELECT points.*, counts.i, counts.support, counts.total
                FROM points ASOF JOIN counts ON points.j = counts.j AND points.point >= counts.start
            ),
            judged AS (
                SELECT drawn.*, (target_pairs.u IS NOT NULL)::INTEGER AS is_own
                FROM drawn LEFT JOIN target_pairs USING (u, i)
            ),
            named AS (SELECT *, {ids} FROM judged {joined_back})
            SELECT user_id, item_id, timestamp, true AS is_synthetic, 1::FLOAT AS weight,
                ((support - is_own) / (total - n_own))::FLOAT AS confidence, (support - is_own)::INTEGER AS support,
                '{SOURCE_DOMAIN}' AS source_domain, source_item, source_event, draw::INTEGER AS draw,
                '{GENERATION_ID}' AS generation_id
            FROM named
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
        """
    )
