"""One study is about one source tree, however often it is resumed."""

from __future__ import annotations

from tuner.config import StudyFile
from tuner.errors import StudyChanged
from tuner.model import SourceTree
from tuner.source import GitSource
from tuner.storage import SourcePin, StudyStore
from tuner.wiring.locations import Locations
from tuner.wiring.parts import make_source


def fetch_pinned(study: StudyFile, locations: Locations, store: StudyStore) -> SourceTree:
    """The study's source, and from its first result on always the same tree.

    A branch that moves is followed no further. Raises StudyChanged when the tree is another one (a folder
    that was edited); SourceInvalid, HostError.
    """
    pin = store.source
    source = make_source(study, locations)
    if pin is not None and isinstance(source, GitSource):
        source = source.pinned(pin.origin)
    tree = source.fetch()
    if pin is None:
        store.pin_source(SourcePin(origin=tree.origin, content_hash=tree.content_hash))
    elif pin.content_hash != tree.content_hash:
        raise StudyChanged(
            f"{tree.origin} has changed since study {store.name!r} began (content {pin.content_hash[:12]}, "
            f"now {tree.content_hash[:12]}): its results would be of two programs. Bring the tree back, give "
            f"the study file another name, or start over (`tuner study delete {store.name}`)"
        )
    return tree
