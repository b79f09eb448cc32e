"""Turn users' events of source domains into synthetic events of a sparse target domain, and train on both.

The steps, each a function from values to a value: `read_pair`, `split`, `fit`, `sample`, `refine`, `train`,
`evaluate`; `generate`, `study` and `run` chain them. Public names are listed in `__init__.pyi` and imported on first
use, so `import scalr` loads nothing heavy.

    foundation  arrays, errors, settings, random numbers; imports no other wing
    logs        event logs: files or frames in, a pair of logs out
    synthesis   the method: P(target item | user, source item), drawn and refined
    engines     carry out the method: in memory, part by part, or on Spark
    evaluation  one fold: cut the logs, train a model, judge it
    studies     many arms and seeds, one answer: what synthetic events are worth
    report      HTML pages about runs and studies
    runs        whole jobs that leave a folder and its manifest
    adapters    events of a run in the form of other libraries
    cli         the command scalr, one module per subcommand
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
