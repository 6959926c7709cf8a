"""What a study found, as tables, as figures and as a page."""

from tuner.report.samples import Samples, read_samples
from tuner.report.study import Study
from tuner.report.write import PAGE, Written, write_report

__all__ = ["PAGE", "Samples", "Study", "Written", "read_samples", "write_report"]
