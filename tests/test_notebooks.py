"""The notebooks of docs/notebooks run from top to bottom, and show what is kept in them."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
LARGEST = 350_000


def pictures(notebook):
    """The numbers of the cells that show a picture."""
    shown = [
        number
        for number, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    return sorted(set(shown))


def test_there_are_three():
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:::jupyter_client", "ignore:::zmq", "ignore:::nbclient")
def test_a_notebook_runs_and_shows_what_is_kept_in_it(path, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kept = nbformat.read(path, 4)
    fresh = nbformat.read(path, 4)
    for cell in fresh.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    place = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(fresh, timeout=300, kernel_name="python3", resources=place)
    client.execute()
    code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    said = [o for cell in code for o in cell.outputs if o.get("name") == "stderr"]
    assert said == []  # no warning
    assert pictures(fresh) == pictures(kept) != []
    assert path.stat().st_size < LARGEST
    assert "/tmp" not in path.read_text(encoding="utf-8")
