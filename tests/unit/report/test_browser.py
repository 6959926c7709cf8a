"""The page in a real Chromium: no errors, no requests, legible in a window and on a phone, light and dark."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

import tuner
from tests.fixtures.chromium import Browser
from tuner.cli.main import run
from tuner.errors import TunerError
from tuner.model import Reason
from tuner.storage import TrialRecord
from tuner.trial import TrialState

EVIL = (
    "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;"
    "\x1b[31mred\x1b[0m $\\frac{1}{0}$ \u202egnp.exe"
)
SMALLEST = """
Math.min(...[...document.querySelectorAll('figure svg text')]
  .map(text => text.getBoundingClientRect()).filter(box => box.height).map(box => box.height))
"""
OUTSIDE = """
[...document.querySelectorAll('main p, main li, figure, h1, h2')]
  .filter(box => box.getBoundingClientRect().right > window.innerWidth + 1).length
"""
FOREIGN = "document.querySelectorAll('img, script, iframe, object, embed, b').length"
CONTRAST = """
(() => {
  const shade = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = shade(getComputedStyle(document.body).backgroundColor);
  const ratios = [...document.querySelectorAll('main p, td, th, a, figcaption, figure svg text')]
    .filter(text => text.getBoundingClientRect().height)
    .map(text => shade(text.tagName === 'text' ? getComputedStyle(text).fill : getComputedStyle(text).color))
    .map(ink => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
  return Math.min(...ratios);
})()
"""


@pytest.fixture(scope="module")
def page(gained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "out"
    assert run(["report", "case", "--out", str(out), "--state", str(gained), "--no-notebook"]) == 0
    return out / "report.html"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_errors_or_requests_and_is_legible(
    browser: Browser, page: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    seen = browser.open(page, width=width, dark=dark, ask=(SMALLEST, OUTSIDE, CONTRAST))
    (tmp_path / "page.png").write_bytes(seen.screenshot)  # to be looked at
    assert seen.complaints == ()
    assert seen.requests == ()
    assert seen.width == width
    assert seen.results[SMALLEST] >= 9
    assert seen.results[OUTSIDE] == 0
    assert seen.results[CONTRAST] >= 4.5


def test_on_paper_all_is_there(browser: Browser, page: Path) -> None:
    seen = browser.open(page, width=720, media="print", dark=True, ask=(CONTRAST, OUTSIDE))
    assert seen.complaints == ()
    assert seen.results[CONTRAST] >= 4.5
    assert seen.results[OUTSIDE] == 0


def test_the_browser_would_tell(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text("<img src=http://127.0.0.1:1/x.png><script>nothing()</script>")
    seen = browser.open(tmp_path / "bad.html")
    assert "nothing is not defined" in " ".join(seen.complaints)
    assert seen.requests == ("http://127.0.0.1:1/x.png",)


def _evil(record: TrialRecord) -> TrialRecord:
    return dataclasses.replace(
        record,
        label=f"trial {EVIL}",
        message=EVIL,
        flags=(EVIL,),
        config=dataclasses.replace(record.config, env=record.config.env.merged({f"X{EVIL}": EVIL})),
        deploy_command=(*record.deploy_command, EVIL),
    )


def test_markup_and_escapes_in_names_and_log_lines_are_shown_not_run(
    browser: Browser, gained: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    study = tuner.load_study("case", state=state)
    best = study.summary.best
    assert best is not None
    for key, launch in study.store.confirmations().items():
        study.store.store_confirmation(key, _evil(launch))
    study.store.store_baseline(EVIL, _evil(study.store.baselines()["today"]))
    failed = dataclasses.replace(
        _evil(best), state=TrialState.FAILED, reason=Reason.CRASHED, objectives=(), figures={}
    )
    study.store.store_anchor("000001:1:0", failed)
    (study.folder / best.folder / "server.log").write_text(EVIL)
    out = tmp_path / "out"
    assert run(["report", "case", "--out", str(out), "--state", str(state), "--no-notebook"]) == 0
    text = (out / "report.html").read_text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "␛[31mred" in text
    seen = browser.open(out / "report.html", ask=(FOREIGN, "document.body.innerText"))
    assert seen.complaints == ()
    assert seen.requests == ()
    assert seen.results[FOREIGN] == 0
    assert seen.results["document.body.innerText"].count("<script>alert(2)</script>") >= 4
    for picture in (out / "figures").glob("*.svg"):
        alone = browser.open(picture)
        assert alone.complaints == ()
        assert alone.requests == ()


def test_a_study_with_a_damaged_record_is_refused(gained: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(gained, state)
    study = tuner.load_study("case", state=state)
    study.store.study.set_user_attr("tuner:baseline:broken", "{")
    with pytest.raises(TunerError, match="not JSON"):
        _ = tuner.load_study("case", state=state).verdict
