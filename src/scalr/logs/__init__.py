"""Event logs: files or frames in, a pair of logs with integer codes out.

    assembling     codes for ids, events in order, items joined: from read logs to a stored pair
    collecting     buffers for events as they are read, and the logs made from them
    column_roles   which column of a log has which role
    event_log      `EventLog` and `Pair`: logs as integer codes
    item_table     the item table, joined to item codes
    log_request    `LogRequest`: which logs to read, and how
    ordering       events sorted into canonical order with bounded memory
    own_order      `recognise_order`: whether times order the events of each user only
    readers/       one reader per column role: ids, times, numbers
    reading        `read_pair` and `read_logs`: the border where wrong input is refused
    refusals       checks that every engine makes of the logs it reads
    scanning       one log read, checked and counted
    schema         column names: the user's, common ones, those of synthetic events
    simulation     `simulate`: worlds with a known truth
    source_counts  counts of one pass over the source events
    stored         source logs by item, packed in memory or in files
    summary        `summarise`: sizes, overlap and weak spots of a pair
    tables/        columns of files and frames; a table knows no recommendation
    times          times to microseconds since 1970, and back
    vocabulary     ids to codes, in an order that no file decides

Public names are listed in `__init__.pyi` and imported on first use.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
