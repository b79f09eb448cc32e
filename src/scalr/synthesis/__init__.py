"""The method: P(target item | user, source item) is estimated, sampled, refined and written as rows.

    aligning      downsampling by bucket until synthetic and real distributions agree
    checks/       audits of synthetic rows, and columns that identify them
    events        `SyntheticEvents`: synthetic events as codes
    facts         numbers and examples of synthetic events for a report
    fidelity      distance between synthetic and real marginals
    identity      generation ids, and combinations that privacy refuses
    kernels/      compiled loops of the translators
    negatives     rows with label 0 that keep the base rate
    parts         parts of the source and the steps that both engines apply to them
    refining      `refine`: the refining stages applied in memory
    sampling      `sample`: draw target items for source events
    stages        the refining stages in order: drop real pairs, filter, deduplicate, align, cap
    tables        rows to Arrow tables and Parquet files
    translators/  one module per translator; `fit`
    weights       training weights of synthetic events: λ and shrinkage κ

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
