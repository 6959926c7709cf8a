"""What a study found, as tables, as figures and as a page."""

from tuner.report.samples import Samples, read_samples
from tuner.report.study import Study

__all__ = ["Samples", "Study", "read_samples"]
