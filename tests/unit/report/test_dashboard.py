"""`tuner dashboard`: a study in optuna-dashboard, to look at and not to change."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.fixtures.chromium import Browser
from tuner.cli.main import run
from tuner.dashboard import DashboardServer
from tuner.wiring import Locations
from tuner.wiring.dashboard import open_dashboard


@contextmanager
def _serving(state: Path) -> Iterator[DashboardServer]:
    with open_dashboard("case", Locations.resolve(state=state, storage=None), 0) as server:
        thread = Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


@pytest.fixture(scope="module")
def served(gained: Path) -> Iterator[str]:
    with _serving(gained) as server:
        yield server.url


def _trials(url: str) -> list[dict[str, Any]]:
    studies = httpx.get(f"{url}api/studies", trust_env=False).json()["study_summaries"]
    assert [study["study_name"] for study in studies] == ["case"]
    found = httpx.get(f"{url}api/studies/{studies[0]['study_id']}", trust_env=False).json()
    trials: list[dict[str, Any]] = found["trials"]
    return trials


def test_trials_have_their_figures_and_files(served: str, gained: Path) -> None:
    trials = _trials(served)
    assert len(trials) >= 4
    first = trials[0]
    told = {one["key"]: one["value"] for one in first["user_attrs"]}
    assert told["state"] == "complete"
    assert float(told["load.output_tokens_per_s"]) == pytest.approx(first["values"][0])
    assert not any(name.startswith("tuner:") for name in told)
    files = {one["filename"]: one for one in first["artifacts"]}
    assert {"record.json", "requests.jsonl", "server.log", "command.txt"} <= set(files)
    answer = httpx.get(
        f"{served}artifacts/{first['study_id']}/{first['trial_id']}/{files['command.txt']['artifact_id']}",
        trust_env=False,
    )
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == (gained / "studies/case/trials/0000/command.txt").read_text()


@pytest.mark.parametrize("path", ["../../studies.db", "../other/study.yaml", ".", "", "nothing.txt"])
def test_no_file_but_the_studys_is_given_out(served: str, path: str) -> None:
    trial = _trials(served)[0]
    identity = path.encode().hex() or "0"
    answer = httpx.get(
        f"{served}artifacts/{trial['study_id']}/{trial['trial_id']}/{identity}", trust_env=False
    )
    assert answer.status_code == 404


def test_nothing_can_be_changed(served: str) -> None:
    study = _trials(served)[0]["study_id"]
    for method, path in (
        ("DELETE", f"api/studies/{study}"),
        ("POST", "api/studies"),
        ("PUT", f"api/studies/{study}/note"),
    ):
        assert httpx.request(method, f"{served}{path}", trust_env=False).status_code == 405
    assert len(_trials(served)) >= 4


def test_another_sites_name_for_this_host_is_refused(served: str) -> None:
    answer = httpx.get(f"{served}api/studies", headers={"Host": "evil.example:8080"}, trust_env=False)
    assert (answer.status_code, "evil" in answer.text) == (403, True)


def test_it_opens_in_a_browser_and_asks_nobody_else(browser: Browser, served: str) -> None:
    shown = "document.body.innerText"
    study = _trials(served)[0]["study_id"]
    seen = browser.open(
        f"{served}dashboard/studies/{study}",
        ask=(shown,),
        until=f"{shown}.includes('Best Trial') && {shown}.includes('case')",
    )
    assert "case" in seen.results[shown]
    assert "tuner:" not in seen.results[shown]
    assert [address for address in seen.requests if not address.startswith(served)] == []


def test_a_port_that_is_taken(served: str, gained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = served.rstrip("/").rpartition(":")[2]
    assert run(["dashboard", "case", "--port", port, "--state", str(gained)]) == 3
    assert "--port" in capsys.readouterr().err


def test_no_such_study(gained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dashboard", "nothing", "--state", str(gained)]) == 2
    assert "nothing" in capsys.readouterr().err


def test_without_optuna_dashboard(
    gained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert run(["dashboard", "case", "--port", "0", "--state", str(gained)]) == 3
    assert "llama-tuner[dashboard]" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(gained: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tuner", "dashboard", "case", "--port", "0", "--state", str(gained)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        url, page, _ = process.stdout.readline().partition("dashboard/studies/")
        assert page
        assert json.loads(httpx.get(f"{url}api/studies", trust_env=False).text)["study_summaries"]
        process.send_signal(number)
        assert process.wait(10) == 0
