"""The method: estimate P(target item | user, source item), draw synthetic events from it, refine and write them.

    aligning      alignment: downsample buckets until synthetic and real marginals agree
    checks/       audit of synthetic rows against their logs, and detection by their columns
    events        `SyntheticEvents` and `Rows`: synthetic events as integer codes
    facts         counts and examples of synthetic events for a report
    fidelity      distances between synthetic and real marginals
    identity      generation ids, and combinations of settings that privacy forbids
    kernels/      compiled loops: draws, back-off, shortlists, filters
    negatives     negative rows (label 0) that keep the base rate of a log of impressions
    parts         parts of the source, and the steps that both engines apply to a part
    refining      `refine`: apply the refining stages in memory
    sampling      `sample`: draw target items for source events in memory
    stages        refining stages in order: drop known pairs, filter, deduplicate, align, cap
    tables        conversion of rows to Arrow tables and Parquet files
    translators/  `fit`, and one module per estimator of P(target item | user, source item)
    weights       training weights of synthetic events: λ and shrinkage κ

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
