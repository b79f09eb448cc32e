"""Many arms and seeds, one answer: what synthetic events are worth.

    arms             what each arm trains on
    choosing/        settings chosen on validation periods
    controls         controls: synthetic events with the claimed information removed
    events           the study of event logs: train, gate and judge one seed
    findings/        what a study found, in words and numbers, without HTML
    gate             augmentation off for segments in which validation shows no gain
    impression_rows  labelled rows and models of a study of impressions
    impressions      the study of impression logs: conversions and calibration
    loop             `study`: choose, gate, train twice, judge once, compare
    results          means, intervals and reliability of a study
    sweeps/          one setting changed at a time, beside the paper's claims
    translations     `translation_quality`: translations judged without training

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
