"""The documentation builds without a warning, and pages made from the code are up to date."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import srvae_plugin
from srvae_plugin.config import plugins

ROOT = Path(__file__).parents[1]
DOCS, BENCHMARKS = ROOT / "docs", ROOT / "benchmarks"

with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(BENCHMARKS)
    import doc_pages
    import metric_pictures

METRICS = metric_pictures.metrics_of_codes()


@pytest.fixture(scope="module")
def made():
    """The pages as the code would make them now."""
    return doc_pages.pages()


def test_pages_made_from_the_code_are_up_to_date(made):
    stale = [p.name for p, text in made.items() if p.read_text(encoding="utf-8") != text]
    assert not stale, "run python benchmarks/doc_pages.py"
    ours = {path for path in made if path.parent.name == "metrics"}
    assert set((DOCS / "metrics").glob("*.md")) == ours


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_page_with_a_picture_and_what_help_says(name, made):
    page = made[DOCS / "metrics" / f"{name}.md"]
    picture = DOCS / "images" / "metrics" / f"{name}.svg"
    assert f"](../images/metrics/{name}.svg)" in page
    numbers = metric_pictures.json.loads(metric_pictures.NUMBERS.read_text(encoding="utf-8"))[name]
    assert picture.read_text(encoding="utf-8") == metric_pictures.picture(name, numbers)
    assert set(numbers) == set(metric_pictures.DEFECTS)
    assert f"](metrics/{name}.md)" in (DOCS / "metrics.md").read_text(encoding="utf-8")
    text = inspect.getdoc(metric_pictures.core_of(name))
    for label in ("Rewards: ", "Punishes: ", "Use it: ", "Published settings: ", "Special cases: "):
        paragraph = re.search(rf"^{label}(.*?)(?=\n\n)", text, re.MULTILINE | re.DOTALL)[1]
        assert paragraph in page
    assert all(f"`{headline.key}`" in page for headline in plugins.metric_info(name).headlines)


@pytest.mark.parametrize("name", ["mig", "mcc", "jemmig"])
@pytest.mark.parametrize("defect", metric_pictures.DEFECTS)
def test_pictures_show_what_the_metric_gives(name, defect):
    """At the largest defect, once more."""
    make, sizes, _ = metric_pictures.DEFECTS[defect]
    codes = metric_pictures.standardised(metric_pictures.factors_of_points())
    kept = metric_pictures.json.loads(metric_pictures.NUMBERS.read_text(encoding="utf-8"))
    for title, score in metric_pictures.values_of(name, make(codes, sizes[-1])).items():
        assert kept[name][defect][title][-1] == pytest.approx(score, abs=6e-5)


def registered_names(tree):
    """Names that a module's source registers with gin by hand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "gin.register":
                    yield ast.literal_eval(call.args[0]) if call.args else node.name


def test_the_configuration_page_has_every_name(made):
    headings = set(re.findall(r"^### (\w+)$", made[DOCS / "configuration.md"], re.MULTILINE))
    written = {
        name
        for path in Path(srvae_plugin.__file__).parent.rglob("*.py")
        for name in registered_names(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert len(written) > 50
    named = {
        entry.name
        for group in ("models", "datasets", "metrics")
        for entry in entry_points(group=f"srvae_plugin.{group}")
        if entry.value.startswith("srvae_plugin.")
    }
    assert written | named <= headings


def test_the_configuration_page_says_what_every_parameter_means(made):
    page = made[DOCS / "configuration.md"]
    rows = re.findall(r"^\| `(\w+\.\w+)` \| .*? \| (.*?) ?\|$", page, re.MULTILINE)
    assert len(rows) > 300
    assert not [name for name, meaning in rows if not meaning]
    assert not re.search(r":\w+:`|(?<!`)``(?!`)", page)
    meanings = dict(rows)
    assert "@xent" in meanings["supervised_loss.loss_fn"]
    assert meanings["sr_vae.beta"].startswith("weight of the KL term")


def test_the_site_builds_without_a_warning(tmp_path):
    if importlib.util.find_spec("mkdocs") is None or not (ROOT / "mkdocs.yml").exists():
        pytest.skip("needs mkdocs: pip install 'srvae_plugin[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "metrics" / "mig" / "index.html").exists()
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Sequential Residual VAE" in home
    api = (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    for name in set(srvae_plugin.__all__) - {"metrics", "__version__"}:
        assert f'.{name}"' in api, f"docs/api.md does not have {name}"
