"""The report in a real browser, without a screen. Not part of the quick tests; to run it:

    apt-get install chromium && pip install playwright
    pytest -m slow tests/test_report_browser.py

`REPORT_SCREENSHOTS=FOLDER` keeps pictures of the page in a wide and in a narrow window, to look at.
"""

import os
import shutil
from pathlib import Path

import pytest
from report_runs import add_importance, add_pictures, make_study, make_unfinished

from srvae_plugin.report.pairs import Bootstrap
from srvae_plugin.report.write import write_report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]
# What a browser does of its own accord is no request of the page.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-first-run", "--disable-quic"]  # fmt: skip
WIDTHS = {"wide": 1400, "narrow": 390}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    study = make_study(folder / "study")
    for name in ("SR-VAE-0", "SR-VAE-2", "VAE-1"):
        add_pictures(study / name, frames=24, size=(560, 160))
        add_importance(
            study / name, [[0.9, 0.1, 0, 0, 0], [0.1, 0.5, 0.2, 1, 0], [0, 0.4, 0.8, 0, 1]]
        )
    make_unfinished(study / "VAE-9", 9, "vae", {"vae.beta": "1.0"})
    write_report([study], folder / "report.html", bootstrap=Bootstrap(resamples=100))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(params=WIDTHS)
def page(request, browser, report):
    """The page, opened in a window of each width; what went wrong or left it is in `page.said`."""
    opened = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 900})
    opened.said = []
    opened.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on(
        "request",
        lambda asked: asked.url.startswith("data:") or opened.said.append(asked.url),
    )
    opened.goto(report.as_uri())
    assert opened.said == [report.as_uri()]
    opened.said.clear()
    yield opened
    assert opened.said == []
    opened.close()


def column(page, table, number):
    return page.locator(f"{table} tbody tr td:nth-child({number})").all_inner_texts()


def test_a_click_sorts_a_table_and_a_second_one_turns_it_round(page):
    head = page.locator("#runs-table thead th")
    names = [name.strip() for name in head.all_inner_texts()]
    place = names.index("FactorVAE score") + 1
    before = column(page, "#runs-table", place)
    head.nth(place - 1).locator("button").click()
    up = column(page, "#runs-table", place)
    # The run that did not finish has no score and stays last.
    assert up == [*sorted((v for v in before if v != "–"), key=float), "–"]
    assert up != before
    assert head.nth(place - 1).get_attribute("aria-sort") == "ascending"
    runs = column(page, "#runs-table", 1)
    assert runs[0] == "study/SR-VAE-1"
    head.nth(place - 1).locator("button").press("Enter")
    assert column(page, "#runs-table", place) == [*up[-2::-1], "–"]
    head.nth(0).locator("button").click()
    assert column(page, "#runs-table", 1) == sorted(runs, key=str.lower)
    assert head.nth(place - 1).get_attribute("aria-sort") is None


def shown(figure):
    images = figure.locator("img:visible")
    assert images.count() == 1
    return images.get_attribute("src")


def test_the_slider_changes_the_picture(page):
    figure = page.locator("figure.traversal").first
    slider, output = figure.locator("input"), figure.locator("output")
    figure.scroll_into_view_if_needed()
    assert output.inner_text() == "z = 0.00"
    first, pixels = shown(figure), figure.locator("img:visible").screenshot()
    slider.press("ArrowRight")
    assert shown(figure) != first
    assert figure.locator("img:visible").screenshot() != pixels
    assert output.inner_text() == "z = 0.78"
    sources = set()
    for value in range(13):
        slider.fill(str(value))
        sources.add(shown(figure))
    assert len(sources) == 13
    assert output.inner_text() == "z = 3.00"
    others = page.locator("figure.traversal").nth(1)
    assert others.locator("output").inner_text() == "z = 0.00"


def test_play_moves_the_picture_until_stop(page):
    figure = page.locator("figure.traversal").first
    figure.locator("button").click()
    first = shown(figure)
    page.wait_for_function("first => document.querySelector('figure.traversal img:not([hidden])')"
                           ".src !== first", arg=first)  # fmt: skip
    figure.locator("button").click()
    assert figure.locator("button").inner_text() == "Play"
    stopped = shown(figure)
    page.wait_for_timeout(400)
    assert shown(figure) == stopped


def test_the_list_of_runs_is_filtered(page):
    page.locator("input.filter").fill("beta-vae")
    assert page.locator("#runs-table tbody tr:visible").count() == 3
    page.locator("input.filter").fill("")
    assert page.locator("#runs-table tbody tr:visible").count() == 10


def test_nothing_is_wider_than_the_window(page):
    size = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert size[0] <= size[1]
    assert page.locator("svg").count() > 10
    if folder := os.environ.get("REPORT_SCREENSHOTS"):
        name = f"report-{size[1]}.png"
        page.screenshot(path=str(Path(folder) / name), full_page=True)


def test_a_request_would_have_been_seen(browser, report):
    """The page's own policy refuses what is not in it, and the listeners hear of it."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(report.as_uri())
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'}))")
    page.wait_for_timeout(200)
    assert any("Content Security Policy" in text for text in said)
    page.close()
