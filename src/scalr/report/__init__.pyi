from .contents import contents_of as contents_of
from .contents import write_report as write_report
from .impressions import write_conversions_page as write_conversions_page
from .sweeps import standalone as standalone
from .sweeps import write_sweeps_page as write_sweeps_page
