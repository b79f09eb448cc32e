"""Turn users' events of source domains into synthetic events of a sparse target domain, and train on both.

The steps, each a function from values to a value: `read_pair`, `split`, `fit`, `sample`, `refine`, `train`,
`evaluate`; `generate`, `study` and `run` chain them. Public names are listed in `__init__.pyi` and imported on first
use, so `import scalr` loads nothing heavy.

    foundation  arrays, errors, settings, randomness: imports nothing of scalr
    logs        event logs: files or frames in, a pair of logs out
    synthesis   P(target item | user, source item): estimated, sampled, refined, written as rows
    engines     where that is carried out: in memory, part by part on this machine, or on Spark
    evaluation  one fold: cut, train, judge
    studies     many arms and seeds, one answer
    report      pages of HTML
    runs        whole jobs that leave a folder
    adapters    events of a run in the form of other libraries
    cli         the command `scalr`
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
