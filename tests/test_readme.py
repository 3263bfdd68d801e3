"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert links
    for link in links:
        assert "://" in link or (page.parent / link).exists(), link


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """With fewer steps and points."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    fewer = {
        "steps=2500, batch_size=64": "steps=2, batch_size=2, eval_steps=1",
        "num_latent=10": "num_latent=2",
        '["mig", "dci"]': '{"mig": {"num_train": 100}}',
    }
    for written, run in fewer.items():
        assert written in code
        code = code.replace(written, run)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "MIG" in capsys.readouterr().out
    assert (tmp_path / "traversals.png").stat().st_size > 1000
