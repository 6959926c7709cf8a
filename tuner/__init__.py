"""Find the llama-server build and launch settings that serve a model best, and prove it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuner.wiring.report import load_study as load_study

__version__ = "0.1.0"
__all__ = ["__version__", "load_study"]


def __getattr__(name: str) -> object:
    # Every server's guard imports this package: pandas waits until somebody asks for a study.
    if name == "load_study":
        from tuner.wiring.report import load_study

        return load_study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
