"""The report in a real browser, without a screen, where a chromium is installed.

`REPORT_SCREENSHOTS=FOLDER` keeps pictures of the page in a wide and in a narrow window, to look at.
"""

import io
import json
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from report_runs import (
    add_curves,
    add_importance,
    add_pictures,
    make_run,
    make_study,
    make_unfinished,
    write_json,
)

from srvae_plugin.report.comparison.pairs import Bootstrap
from srvae_plugin.report.write import write_report
from srvae_plugin.runs.directory import RunDirectory

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'srvae_plugin[browser]'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium is installed: apt-get install chromium"
)
# What a browser does of its own accord is no request of the page.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-first-run", "--disable-quic"]  # fmt: skip
DIAGNOSIS = {
    "num_points": 2000, "latents": ["z0", "z1"], "factors": ["shape", "position x"],
    "shares": [[0.4, 0.5], [0.4, 0.5]], "told": [0.9, 0.9], "linear": [0.9, 0.9],
    "scores": {"MIG": 0.01}, "mended": {"MIG": 0.9}, "notes": [],
    "findings": [{"kind": "rotated", "factors": ["shape", "position x"], "latents": ["z0", "z1"],
                  "measured": "a gap", "what_if": "latents z0 and z1 were unrotated",
                  "advice": "another seed", "scores": {"MIG": 0.9}, "after": None}],
}  # fmt: skip
WIDTHS = {"wide": 1400, "narrow": 400}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    study = make_study(folder / "study")
    for name in ("SR-VAE-0", "SR-VAE-2", "VAE-1"):
        add_pictures(study / name, frames=24, size=(560, 160))
        add_importance(
            study / name, [[0.9, 0.1, 0, 0, 0], [0.1, 0.5, 0.2, 1, 0], [0, 0.4, 0.8, 0, 1]]
        )
    write_json(RunDirectory(study / "VAE-1").scores("mean").diagnosis, DIAGNOSIS)
    make_unfinished(study / "VAE-9", 9, "vae", {"vae.beta": "1.0"})
    write_json(study / "study.json", {"study": "a browser's study", "runs": []})
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
    if page.viewport_size["width"] == WIDTHS["narrow"]:
        pytest.skip("cards have no headings to click")
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
    page.evaluate("document.querySelector('dl:last-of-type dt').append('_name'.repeat(80))")
    size = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert size[0] <= size[1]
    assert page.locator("svg").count() > 10
    lines = page.evaluate("[...document.querySelectorAll('dd')].map((dd) => dd.clientWidth)")
    assert min(lines) > 0.6 * size[1]  # room to read
    if folder := os.environ.get("REPORT_SCREENSHOTS"):
        name = f"report-{size[1]}.png"
        page.screenshot(path=str(Path(folder) / name), full_page=True)


LABELS = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll("text:not([transform])")]
    .map((text) => [text.textContent, text.getBoundingClientRect()]).filter(([, box]) => box.width);
  const cut = boxes.filter(([, b]) => b.left < frame.left - 1 || b.right > frame.right + 1
    || b.top < frame.top - 1 || b.bottom > frame.bottom + 1).map(([text]) => `cut: ${text}`);
  const over = boxes.flatMap(([one, a], place) => boxes.slice(place + 1)
    .filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2
      && b.top < a.bottom - 2).map(([other]) => `${one} over ${other}`));
  return [...cut, ...over];
})"""


def test_no_label_of_a_figure_is_cut_off_or_lies_over_another(page):
    assert page.evaluate(LABELS) == []


def test_narrow_windows_show_cards(page):
    narrow = page.viewport_size["width"] == WIDTHS["narrow"]
    cell = page.locator("#overview td").nth(3)
    assert (
        cell.get_attribute("data-label") == "Reconstruction loss (nats per image), lower is better"
    )
    assert page.locator("#overview thead").is_visible() != narrow
    page.evaluate("document.querySelector('#overview td:last-child').classList.add('none')")
    assert page.locator("#overview td.none").first.is_visible() != narrow
    if narrow:
        boxes = page.evaluate(
            "[...document.querySelectorAll('.tall')].map(e => [e.clientWidth, innerWidth])"
        )
        assert all(width > 0.9 * (window - 28) for width, window in boxes)


def test_nothing_is_cut_off_on_paper(browser, report):
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 with margins of 1 cm
    page.emulate_media(media="print")
    page.goto(report.as_uri())
    too_wide = page.evaluate(
        "[...document.querySelectorAll('table, svg, img')].filter(e => "
        "e.getBoundingClientRect().right > innerWidth).map(e => e.closest('section').id)"
    )
    assert too_wide == []
    assert not page.locator(".tools").first.is_visible()
    page.close()


def test_a_diagnosis_is_shown_and_its_picture_is_downloaded(page):
    section = page.locator("#why")
    assert "MIG .01 → .90 if latents z0 and z1 were unrotated" in section.inner_text()
    name, content = downloaded(page, section.get_by_text("SVG"))
    assert name.endswith(".svg")
    assert b"position x" in content


def downloaded(page, button):
    with page.expect_download() as waiting:
        button.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_tables_are_downloaded_as_csv_markdown_and_latex(page):
    bar = page.locator("#overview .tools")
    name, content = downloaded(page, bar.get_by_text("CSV"))
    assert name == "report-overview.csv"
    lines = content.decode().splitlines()
    assert lines[0].startswith('"model","FactorVAE score","MIG"')
    assert lines[1].startswith('"beta-VAE","0.7062499999999999"')
    name, content = downloaded(page, bar.get_by_text("Markdown"))
    assert name == "report-overview.md"
    lines = content.decode().splitlines()
    assert lines[0].startswith("| model | FactorVAE score | MIG |")
    assert lines[2].startswith("| beta-VAE | 0.706 n = 3 published ~0.72 [a b ")
    letters = {letter for marks in re.findall(r"\[([a-z ]+)\]", content.decode())
               for letter in marks.split()}  # fmt: skip
    noted = [
        line.split(" ")[0] for line in lines if re.match(r"\[[a-z]+\] [a-z ]+: .+ \\\| ", line)
    ]
    assert sorted(noted) == [f"[{letter}]" for letter in sorted(letters)]
    name, content = downloaded(page, bar.get_by_text("LaTeX"))
    text = content.decode()
    assert name == "report-overview.tex"
    assert text.startswith("\\begin{tabular}{lrrr}")
    assert "beta-VAE & 0.706 n = 3" in text
    assert text.count("\\\\\n") == 4


def test_figures_are_downloaded_as_svg_and_png(page):
    bar = page.locator("#scores .tools").filter(has_text="PNG").first
    name, content = downloaded(page, bar.get_by_text("SVG"))
    assert name == "report-figure-1.svg"
    root = ElementTree.fromstring(content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert b"class=" not in content
    assert b'fill="rgb' in content
    name, content = downloaded(page, bar.get_by_text("PNG"))
    assert name == "report-figure-1.png"
    with Image.open(io.BytesIO(content)) as image:
        assert image.width == 1440
        assert len(image.convert("RGB").getcolors(1 << 24)) > 5


def test_a_label_opens_the_whole_configuration(page):
    config = page.locator("#model-1 pre")
    assert not config.is_visible()
    page.locator("#overview a.model-link", has_text="SR-VAE").click()
    assert "encoder.num_latent = 10" in config.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_either_scheme(browser, report, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(report.as_uri())
    colors = page.evaluate(
        "[...document.querySelectorAll('body, .address, .verdict, .chip, .beside, svg text')].map("
        "e => [getComputedStyle(e).color, getComputedStyle(e).fill, e.tagName])"
    )
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) < 0.05) == (scheme == "dark")
    for color, fill, tag in colors:
        shown = fill if tag == "text" else color
        light, dark = sorted((luminance(shown), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.5, (tag, shown)
    page.close()


def luminance(color):
    """Of WCAG 2: a contrast above 4.5 can be read."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


HOSTILE = (
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">',
    "</script><script>window.ran = 1</script>",
    "' onmouseover='window.ran = 1",
    "</title></svg><svg onload=window.ran=1>",
    "{{ 7 * 191 }} javascript:window.ran=1",
)


def test_names_that_are_scripts_are_shown_as_text(browser, tmp_path):
    study = tmp_path / "<b onclick=window.ran=1>"
    entries = []
    for place, text in enumerate(HOSTILE):
        run = make_run(
            study / f"run {place} {text.replace('/', '_')}", place, {"mig": 0.5, text: 0.3}, "vae",
            {"vae.beta": f"'{text}'", "encoder.num_latent": text},
            factors=[text] * 2,
        )  # fmt: skip
        add_curves(run)
        add_pictures(run)
        add_importance(run, [[1.0, 0.2], [0.1, 1.0]])
        write_json(run / "environment.json", {"platform": text, "packages": {text: text}})
        (run / "metrics/mean/bad.refused.json").write_text(
            json.dumps({"metric": text, "error": text})
        )
        entries.append({"folder": run.name, "label": text, "dataset": text, "seed": place,
                        "dataset_name": "d", "status": "failed", "error": text})  # fmt: skip
    write_json(study / "study.json", {"study": HOSTILE[0], "runs": entries})
    output = tmp_path / "<i onclick=window.ran=1>.html"
    write_report([study], output, bootstrap=Bootstrap(resamples=20))
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith("data:") or said.append(asked.url))
    page.goto(output.as_uri())
    assert said == [output.as_uri()]
    assert page.title() == HOSTILE[0]
    for link in page.locator("#overview a.model-link").all():
        link.hover()
    for button in page.locator("#overview .tools button").all():
        downloaded(page, button)
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert page.locator("script").count() == 1
    assert page.locator("[onerror], [onclick], [onload], [onmouseover]").count() == 0
    text = page.locator("body").inner_text()
    for name in HOSTILE:
        assert name in text
    assert said == [output.as_uri()]
    page.close()


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


def test_paper_has_the_notes_that_are_folded_on_the_screen(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())
    notes = page.locator("details.footnotes")
    notes.first.evaluate("note => { note.open = false; }")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.footnotes li:visible").count() > 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.footnotes li:visible").count() == 0
    page.close()
