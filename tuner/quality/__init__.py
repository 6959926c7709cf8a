"""How far a configuration's answers are from the reference's: by llama-perplexity, or a bound over HTTP."""

from tuner.quality.divergence import Divergence
from tuner.quality.guard import QualityGuard, Unjudged
from tuner.quality.http import HttpMethod
from tuner.quality.method import Method, Reference, Subject
from tuner.quality.output import parse_output
from tuner.quality.perplexity import PerplexityMethod
from tuner.quality.store import DivergenceStore
from tuner.quality.subjects import reference_config, subject_config
from tuner.quality.text import read_text, write_text

__all__ = [
    "Divergence",
    "DivergenceStore",
    "HttpMethod",
    "Method",
    "PerplexityMethod",
    "QualityGuard",
    "Reference",
    "Subject",
    "Unjudged",
    "parse_output",
    "read_text",
    "reference_config",
    "subject_config",
    "write_text",
]
