"""Studies over many arms and seeds: what synthetic events are worth.

    arms             what each arm trains on
    choosing/        settings chosen on validation periods
    controls         controls: synthetic events with the claimed information removed
    events           `study`: the study of event logs, a task of the loop
    findings/        results in words and numbers, without HTML
    gate             augmentation off for segments in which validation shows no gain
    impression_rows  labelled rows and models of a study of impressions
    impressions      `conversion_study`: the study of impression logs, a task of the loop
    loop             the loop of every study: choose, gate, train twice, judge once
    protocol         what a task provides for the loop
    results          means, comparisons with intervals, reliability
    sweeps/          one setting changed at a time, beside the paper's claims
    translations     `translation_quality`: translations judged without training

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
