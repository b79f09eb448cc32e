"""The engine for a Spark cluster; it makes the events of the local engine.

    cluster/    session, broadcasts, the layout of parts, a part in a task
    reading/    source frames checked and in the common form, the target log on the driver
    fitting/    counts, factors and translations, restricted to the users of a part
    drawing/    the refining stages in tasks, and files that tasks write
    generation  `generate_on_spark`
    dry_run     `dry_run`: the estimated cost of a run

Values of the size of the target log (its events, ids and items) are packed on the driver and broadcast once per
machine. Values of the size of the source stay in Spark. A *part* is some source items with all of their events, as in
`scalr.synthesis.parts`; a task sees it as a small pair of logs.
"""
