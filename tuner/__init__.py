"""Find the llama-server build and launch settings that serve a model best, and prove it."""

__version__ = "0.1.0"
