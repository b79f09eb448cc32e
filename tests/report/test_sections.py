"""Rows and words that the page shows, from the plain data of a run."""

from __future__ import annotations

from scalr.report import sections
from scalr.studies.findings.comparisons import read_changes
from scalr.studies.findings.verdict import verdict


def stage(rows_in, rows_out):
    return {"rows_in": rows_in, "rows_out": rows_out, "wall_seconds": 0.5, "cpu_seconds": 61.0}


def test_funnel_follows_the_events_and_nothing_else():
    stages = {
        "read": stage(150, 150),
        "fit": stage(150, 40),
        "sample": stage(100, 400),
        "drop_real": stage(400, 390),
        "filter": stage(390, 390),
        "align": stage(390, 200),
        "write": stage(200, 200),
        "study": stage(200, 7),
    }
    assert sections.funnel_steps(stages) == [
        ("Source events", 100),
        ("Drawn", 400),
        ("New to the user", 390),
        ("Aligned", 200),
    ]


def test_without_sampling_there_is_no_funnel():
    assert sections.funnel_steps({"read": stage(3, 2)}) == []
    assert sections.funnel_steps(None) == []


def test_stage_rows_are_words():
    assert sections.stage_rows({"drop_real": stage(1234, 7)}) == [("Drop real", "1,234", "7", "0.50 s", "1 min 1 s")]
    assert sections.stage_rows({"fit": {}}) == [("Fit", "–", "–", "–", "–")]


def test_cards_leave_out_the_time_of_training():
    stages = {"sample": stage(100, 400), "study": stage(400, 400)}
    shown = sections.cards([("Source events", 100), ("Drawn", 400)], None, {}, stages, verdict(None))
    assert [(card["name"], card["value"]) for card in shown] == [("Synthetic events", "400"), ("Time", "0.50 s")]


def test_edges_are_short_words():
    shares = {"real": [0.5, 0.5], "before": [0.5, 0.5], "after": [0.5, 0.5]}
    rows = sections.alignment_rows(
        [
            {"by": "value", "edges": [0.5, 1.25, 12345.0], **shares},
            {"by": "time", "edges": [1483228800000000, 1483315200000000, 1483401600000000], **shares},
            {"by": "popularity", "edges": [7], **shares},
            {"by": "value", "edges": [1, 2, 3, 4, 5], **shares},
        ]
    )
    assert [row["edges"] for row in rows] == [
        ["0.5", "1.25", "12.3k"],
        ["2017-01-01", "2017-01-02", "2017-01-03"],
        ["", "7", ""],
        [],
    ]


def test_log_table_has_a_column_per_domain():
    domain = {"users": 200, "density": 0.00123, "positive_share": None, "time_range": ["2017-01-01 12:00:00", "7"]}
    table = sections.log_table({"domains": ({"name": "a", **domain}, {"name": "b", "users": 50}), "overlap_users": 25})
    assert table["names"] == ["a", "b"]
    assert table["rows"] == [
        ("Users", ["200", "50"]),
        ("Density", ["0.123 %", "–"]),
        ("Time", ["2017-01-01 to 7", "–"]),
    ]
    assert table["overlap"] == (
        "25 users are active in both domains: 12.5 % of the users of a; 50.0 % of the users of b."
    )
    assert sections.log_table({}) is None


def test_overlap_of_several_sources_is_a_share_of_the_target_only():
    """Who is active in any source is no share of one source's users: it can be more than all of them."""
    domains = ({"name": "a", "users": 10}, {"name": "b", "users": 20}, {"name": "c", "users": 50})
    table = sections.log_table({"domains": domains, "overlap_users": 25})
    assert table["overlap"] == "25 users are active in a source and the target: 50.0 % of the users of c."


def test_examples_show_titles_or_ids():
    (row,) = sections.example_rows(
        [
            {
                "source_item": 7,
                "source_title": "Tea &amp; cake",
                "target_item": 9,
                "confidence": 0.4,
                "support": 1200,
                "lift": 12.6,
            }
        ]
    )
    assert (row["source"], row["source_id"]) == ("Tea & cake", "7")
    assert (row["target"], row["target_id"]) == ("9", "")
    assert (row["confidence"], row["lift"], row["support"]) == ("40.0 %", "13", "1,200")


def test_tables_have_an_arm_per_row_and_a_metric_per_column(study_of):
    changes = read_changes(study_of({"scalr": (-0.0111, 0.0019), "my_own": (0.002, 0.001)}))
    tables = sections.metric_tables(changes)
    assert [table["segment"] for table in tables] == ["All users", "Warm users", "Cold users"]
    assert tables[0]["metrics"] == ["Normalized entropy", "NDCG@20", "Recall@20", "AUC", "Calibration ratio"]
    assert [row["arm"] for row in tables[0]["rows"]] == ["SCALR", "my own"]
    assert tables[0]["rows"][0]["cells"][0] == {"text": "−1.11 %", "interval": "[−1.30, −0.92]", "kind": "helped"}
    assert tables[1]["rows"][0]["cells"][-1]["text"] != "–"


def test_settings_are_flat():
    nested = {"seed": 7, "align": {"by": ["value", "time"], "on": True}, "cap": None}
    assert sections.flat(nested) == [("seed", "7"), ("align.by", "value, time"), ("align.on", "yes"), ("cap", "none")]
