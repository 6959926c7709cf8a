"""Trial folders that go to a store and come back on another host, and what can go wrong with them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.ports import free_port
from tests.fixtures.s3 import BUCKET, S3, running_s3
from tuner.errors import ArtifactsUnavailable, UserError
from tuner.locking import lock
from tuner.model import TrialConfig
from tuner.storage import Artifacts, Exchange, StudyFolder, TrialRecord, open_artifacts, write_trial
from tuner.storage.exchange import parcel_name
from tuner.trial import TrialState

RECORD = TrialRecord(
    label="trial 7",
    number=7,
    state=TrialState.COMPLETE,
    config=TrialConfig(),
    identity="abc",
    objectives=(1.0,),
    folder="trials/0007",
    started="2026-11-28T01:00:00+00:00",
    ended="2026-11-28T01:01:00+00:00",
)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with running_s3(free_port()) as found:
        yield found


@pytest.fixture(params=["folder", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "folder":
        (tmp_path / "shared").mkdir()
        return open_artifacts(str(tmp_path / "shared"))
    request.getfixturevalue("s3")
    return open_artifacts(f"s3://{BUCKET}/{tmp_path.name}")


def _host(folder: Path, artifacts: Artifacts) -> Exchange:
    StudyFolder(folder, "case").create()
    return Exchange(artifacts, folder / "studies/case", "case")


def _measured(folder: Path, artifacts: Artifacts, record: TrialRecord = RECORD) -> Exchange:
    """A host that has measured `record`."""
    exchange = _host(folder, artifacts)
    where = StudyFolder(folder, "case").prepare(*record.folder.split("/"))
    (where / "server.log").write_text("ready\n" * 100)
    (where / "launch").mkdir()
    (where / "launch/more.txt").write_text("below")
    (where / "llama-server").symlink_to("/bin/true")
    write_trial(where, record, None, {"host": "one"})
    return exchange


def test_what_one_host_ships_another_one_fetches(artifacts: Artifacts, tmp_path: Path) -> None:
    one, other = _measured(tmp_path / "one", artifacts), _host(tmp_path / "other", artifacts)
    assert one.is_here(RECORD)
    assert not one.is_shipped(RECORD)
    one.ship(RECORD)
    assert one.is_shipped(RECORD)
    assert not other.is_here(RECORD)
    assert other.fetch(RECORD) == ""
    assert other.has_samples(RECORD)
    assert other.is_shipped(RECORD)  # it is not shipped back
    found = tmp_path / "other/studies/case/trials/0007"
    assert (found / "server.log").read_text() == "ready\n" * 100
    assert (found / "launch/more.txt").read_text() == "below"
    assert not (found / "llama-server").exists()
    one.remove(RECORD)
    one.remove(RECORD)
    assert "has not uploaded it" in _host(tmp_path / "third", artifacts).fetch(RECORD)


def test_nothing_is_left_beside_what_was_fetched(artifacts: Artifacts, tmp_path: Path) -> None:
    one, other = _measured(tmp_path / "one", artifacts), _host(tmp_path / "other", artifacts)
    assert "has not uploaded it to" in other.fetch(RECORD)
    one.ship(RECORD)
    other.fetch(RECORD)
    for host in ("one", "other"):
        assert [path.name for path in (tmp_path / host / "studies/case").iterdir()] == ["trials"]
    if (shared := tmp_path / "shared").exists():
        assert [path.name for path in shared.iterdir()] == [parcel_name("case", RECORD)]


def test_a_folder_is_shipped_twice_to_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    one = _measured(tmp_path / "one", open_artifacts(str(tmp_path / "shared")))
    one.ship(RECORD)
    stored = tmp_path / "shared" / parcel_name("case", RECORD)
    first = stored.read_bytes()
    one.ship(RECORD)
    assert stored.read_bytes() == first


def _parcel(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _link() -> tarfile.TarInfo:
    member = tarfile.TarInfo("0007/out")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    return member


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no archive",
        gzip.compress(b"no archive"),
        _parcel(),
        _parcel((tarfile.TarInfo("../../../escaped"), b"x")),
        _parcel((tarfile.TarInfo("/escaped"), b"x")),
        _parcel((_link(), b"")),
        _parcel((tarfile.TarInfo("0007/record.json"), b"{}")),
        _parcel((tarfile.TarInfo("0007/record.json"), b"nothing that is JSON")),
    ],
)
def test_what_is_no_parcel_is_told_and_leaves_nothing(stored: bytes, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    other = _host(tmp_path / "other", open_artifacts(str(tmp_path / "shared")))
    (tmp_path / "shared" / parcel_name("case", RECORD)).write_bytes(stored)
    assert other.fetch(RECORD) != ""
    assert [*(tmp_path / "other/studies/case").iterdir()] == []
    assert not (tmp_path / "escaped").exists()


def test_half_a_parcel_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    artifacts = open_artifacts(str(tmp_path / "shared"))
    _measured(tmp_path / "one", artifacts).ship(RECORD)
    stored = tmp_path / "shared" / parcel_name("case", RECORD)
    whole = stored.read_bytes()
    other = _host(tmp_path / "other", artifacts)
    for cut in (1, 20, len(whole) // 2, len(whole) - 1):
        stored.write_bytes(whole[:cut])
        assert "cannot be used" in other.fetch(RECORD)
        assert not other.is_here(RECORD)


def test_another_measurement_under_the_name_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    artifacts = open_artifacts(str(tmp_path / "shared"))
    another = replace(RECORD, ended="2026-11-28T02:00:00+00:00")
    _measured(tmp_path / "one", artifacts, another).ship(another)
    shared = tmp_path / "shared"
    (shared / parcel_name("case", another)).rename(shared / parcel_name("case", RECORD))
    assert "another measurement" in _host(tmp_path / "other", artifacts).fetch(RECORD)


def test_what_is_in_the_way_is_set_aside_unless_a_run_works_there(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    artifacts = open_artifacts(str(tmp_path / "shared"))
    _measured(tmp_path / "one", artifacts).ship(RECORD)
    dropped = replace(RECORD, ended="2026-11-28T02:00:00+00:00")
    other = _measured(tmp_path / "other", artifacts, dropped)
    folder = tmp_path / "other/studies/case"
    with lock(folder / "lock", shared=True):
        assert "a run on this host works in" in other.fetch(RECORD)
        assert other.is_here(dropped)
    assert other.fetch(RECORD) == ""
    assert other.is_here(RECORD)
    assert json.loads((folder / "trials/0007.unknown-1/record.json").read_text())["ended"] == dropped.ended


def test_samples_that_were_removed_here_come_back(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    one = _measured(tmp_path / "one", open_artifacts(str(tmp_path / "shared")))
    one.ship(RECORD)
    folder = tmp_path / "one/studies/case/trials/0007"
    (folder / "server.log").unlink()
    (folder / "removed.txt").write_text("for room")
    assert one.is_here(RECORD)
    assert not one.has_samples(RECORD)
    assert one.fetch(RECORD) == ""
    assert one.has_samples(RECORD)
    assert (folder / "server.log").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["0007"]


def test_samples_that_were_removed_before_they_were_shipped_are_told(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    one = _measured(tmp_path / "one", open_artifacts(str(tmp_path / "shared")))
    (tmp_path / "one/studies/case/trials/0007/removed.txt").write_text("for room")
    one.ship(RECORD)
    assert "removed before it was uploaded" in one.fetch(RECORD)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    artifacts = open_artifacts(str(tmp_path / "not-mounted"))
    one = _measured(tmp_path / "one", artifacts)
    with pytest.raises(ArtifactsUnavailable, match="make or mount it"):
        one.ship(RECORD)
    with pytest.raises(ArtifactsUnavailable, match="make or mount it"):
        _host(tmp_path / "other", artifacts).fetch(RECORD)
    assert not (tmp_path / "not-mounted").exists()
    assert not one.is_shipped(RECORD)


def test_s3_that_is_away_or_refuses_is_told_without_credentials(s3: S3, tmp_path: Path) -> None:
    one = _measured(tmp_path / "one", open_artifacts("s3://no-such-bucket/x"))
    with pytest.raises(ArtifactsUnavailable, match="NoSuchBucket") as refused:
        one.ship(RECORD)
    assert "a-secret" not in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
        one = _measured(tmp_path / "two", open_artifacts(f"s3://{BUCKET}"))
        with pytest.raises(ArtifactsUnavailable, match="Could not connect"):
            one.ship(RECORD)
        patched.setenv("AWS_ENDPOINT_URL_S3", "no address")
        one = _measured(tmp_path / "three", open_artifacts(f"s3://{BUCKET}"))
        with pytest.raises(ArtifactsUnavailable, match="Invalid endpoint"):
            one.ship(RECORD)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("relative/folder", "from / on"),
        ("file:///folder", "from / on"),
        ("https://host/bucket", "from / on"),
        ("s3://", "s3://bucket"),
        ("s3://UPPER/prefix", "s3://bucket"),
        ("s3://bucket/../other", "s3://bucket"),
        ("s3://bucket/a b", "s3://bucket"),
        ("s3://key:secret@bucket/prefix", "holds credentials"),
    ],
)
def test_what_names_no_store_is_the_user_s_mistake(said: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as refused:
        open_artifacts(said)
    assert "secret@" not in str(refused.value)
