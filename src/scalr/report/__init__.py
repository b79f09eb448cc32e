"""HTML pages about runs and studies. Everything they state comes from `scalr.studies`.

    cells         values as text of a table cell
    charts        charts as inline SVG, for wide and narrow screens
    choice        settings chosen on validation: gate and trials
    contents      `write_report`, and its contents from the values of a run
    detection     columns that identify synthetic rows
    drawing       sizes and colours of charts; Vega-Lite to SVG
    impressions   the page of a study of impressions
    page          the page of a run: one HTML file without network or JavaScript
    sections      rows of the page
    sweeps        the page of sweeps
    translations  translators without a model, and calibration of confidence

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
