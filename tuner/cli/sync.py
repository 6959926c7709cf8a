"""`tuner study sync`."""

from __future__ import annotations

from tuner import wiring
from tuner.cli.console import note, print_json, print_line
from tuner.cli.options import JsonOption, StateOption, StorageOption
from tuner.cli.study_read import NameArgument


def sync(
    name: NameArgument,
    state: StateOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload trial folders that only this host has, and fetch those of other hosts (TUNER_ARTIFACTS).

    Example: TUNER_ARTIFACTS=/mnt/team/tuner tuner study sync my-study
    """
    synced = wiring.sync_study(name, wiring.Locations.resolve(state=state, storage=storage))
    if as_json:
        print_json(
            {
                "study": name,
                "uploaded": synced.uploaded,
                "fetched": synced.fetched,
                "missing": list(synced.missing),
            }
        )
        return
    for sentence in synced.missing:
        note(sentence)
    print_line(
        f"{synced.uploaded} trial folders uploaded, {synced.fetched} fetched, {len(synced.missing)} missing."
    )
