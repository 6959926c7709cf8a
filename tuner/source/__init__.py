"""llama.cpp trees, from a folder, a git repository or a source distribution."""

from tuner.source.base import Source
from tuner.source.git import GitSource
from tuner.source.path import PathSource
from tuner.source.sdist import SdistSource
from tuner.source.tree import check_tree, content_hash, make_tree

__all__ = ["GitSource", "PathSource", "SdistSource", "Source", "check_tree", "content_hash", "make_tree"]
