"""The report page in a real browser: it asks no host, sorts, filters, follows the theme, and fits a phone."""

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, why_not

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]

KEYS = """
const body = document.querySelector('.gains tbody[data-views="%s"]');
return [...body.rows].filter(row => !row.classList.contains('group')).map(row => row.cells[%d].dataset.value);
"""
GAIN, TECHNIQUE, HOLM = 4, 0, 9


class Page:
    """The browser, the page's address, and the commands of Chromium's own protocol."""

    def __init__(self, browser: Chromium, address: str) -> None:
        self.browser, self.address, self.run = browser, address, browser.run

    def tell(self, command: str, **values: Any) -> Any:
        return self.browser._send("POST", "/goog/cdp/execute", {"cmd": command, "params": values})

    def open(self, width: int = 1400, theme: str = "light") -> None:
        phone = width < 500
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=phone)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.browser.open(self.address)

    def sort(self, column: int) -> str:
        head = f"document.querySelectorAll('.gains thead th')[{column}]"
        self.run(f"{head}.querySelector('button').click()")
        return str(self.run(f"return {head}.getAttribute('aria-sort')"))

    def keys(self, column: int, view: str = "alone") -> list[str]:
        return list(self.run(KEYS % (view, column)))

    def groups(self) -> list[str]:
        shown = "[...document.querySelectorAll('.gains tbody')].filter(body => body.offsetHeight > 0)"
        return list(self.run(f"return {shown}.map(body => body.rows[0].innerText)"))

    def background(self) -> str:
        return str(self.run("return getComputedStyle(document.body).backgroundColor"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    from made_up_page import content

    from fer_core.evaluation.page.build import page as build
    from fer_core.evaluation.page.figures import draw

    folder = tmp_path_factory.mktemp("page")
    whole = content()
    (folder / "index.html").write_text(build(whole, draw(whole)), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    profile = tmp_path_factory.mktemp("profile")
    browser = Chromium(profile, port, width=1400, height=900)
    yield Page(browser, (folder / "index.html").as_uri())
    browser.close()
    shutil.rmtree(profile, ignore_errors=True)


def test_it_loads_without_an_error_and_asks_no_host(page: Page) -> None:
    heard = "window.heard = []; addEventListener('error', e => heard.push(e.message || 'resource'), true);"
    heard += "addEventListener('securitypolicyviolation', e => heard.push(e.blockedURI));"
    script = page.tell("Page.addScriptToEvaluateOnNewDocument", source=heard)
    page.open()
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    assert page.run("return window.heard") == []
    assert page.run("return performance.getEntriesByType('resource').map(e => e.name)") == []
    loaded = "return [...document.images].map(i => i.complete && i.naturalWidth > 0)"
    assert set(page.run(loaded)) == {True}
    page.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    assert page.browser.wait("return window.heard.find(line => line.includes('127.0.0.1'))")  # the policy holds
    page.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_numbers_sort_both_ways_with_the_missing_last(page: Page) -> None:
    page.open()
    assert page.sort(GAIN) == "descending"
    assert page.keys(GAIN) == ["9.5", "1.0", "-11.4", ""]
    assert page.sort(GAIN) == "ascending"
    assert page.keys(GAIN) == ["-11.4", "1.0", "9.5", ""]
    said = "Sorted by Gain, points [95 %], smallest first, within each group."
    assert page.run("return document.getElementById('sorted').innerText") == said
    assert page.sort(HOLM) == "ascending"
    assert page.keys(HOLM) == ["0.06", "0.06", "1.0", ""]
    assert page.keys(GAIN) == ["-11.4", "9.5", "1.0", ""]  # equal ones stay as they were
    others = page.run("return [...document.querySelectorAll('.gains th[aria-sort]')].map(h => h.ariaSort)")
    assert sorted(set(others)) == ["ascending", "none"] and others.count("ascending") == 1


def test_words_sort_and_the_group_keeps_its_head(page: Page) -> None:
    page.open()
    assert page.sort(TECHNIQUE) == "ascending"
    assert page.keys(TECHNIQUE) == ["The loss", "The tta", "The vit", "The votes"]
    assert page.groups()[1] == "Each technique alone, on the baseline"


def test_a_head_is_sorted_by_the_keyboard(page: Page) -> None:
    page.open()
    page.run(f"document.querySelectorAll('.gains thead button')[{GAIN}].focus()")
    for kind in ("keyDown", "keyUp"):
        page.tell("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert page.keys(GAIN) == ["9.5", "1.0", "-11.4", ""]


def test_the_filter_shows_one_view_and_the_baseline_where_it_is_the_reference(page: Page) -> None:
    page.open()
    alone = ["Baseline", "Each technique alone, on the baseline"]
    assert page.groups() == alone
    for view, count in (("all", 5), ("vote", 1), ("phase", 2), ("ladder", 2)):
        page.run(f"document.querySelector('input[value={view}]').click()")
        assert len(page.groups()) == count
    page.run("document.querySelector('input[value=alone]').click()")
    assert page.groups() == alone


def test_the_theme_follows_the_reader_and_the_button(page: Page) -> None:
    page.open(theme="light")
    light = page.background()
    page.run("document.getElementById('theme').click()")
    dark = page.background()
    assert light == "rgb(255, 255, 255)" and dark != light
    paper = "getComputedStyle(document.querySelector('.gains th[scope=row]')).backgroundColor"
    assert page.run(f"return {paper}") == dark
    page.open(theme="dark")
    assert page.background() == dark
    page.run("document.getElementById('theme').click()")
    assert page.background() == light


@pytest.mark.parametrize("width", [360, 390, 768, 1400])
def test_nothing_but_boxes_scrolls_sideways(page: Page, width: int) -> None:
    page.open(width=width)
    page.run("document.querySelector('input[value=all]').click()")
    assert page.run("return document.documentElement.scrollWidth") <= width
    if width < 500:
        box = "document.querySelector('.gains')"
        page.run(f"{box}.scrollLeft = 400")
        assert page.run(f"return {box}.scrollLeft") == 400
        name = "document.querySelector('.gains th[scope=row]').getBoundingClientRect().left"
        assert page.run(f"return Math.abs({name} - {box}.getBoundingClientRect().left)") <= 1  # the name stays


def test_alarms_open(page: Page) -> None:
    page.open()
    alarm = "document.querySelector('.gains tbody[data-views=alone] details')"
    visible = f"return {alarm}.querySelector('li').checkVisibility()"
    assert not page.run(visible)
    page.run(f"{alarm}.querySelector('summary').click()")
    assert page.run(f"return {alarm}.querySelector('li').innerText") == "never <sad>"
    assert page.run(visible)
