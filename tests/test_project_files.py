"""What stands beside the code: one version, the changelog, the citation, the workflows."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from srvae_plugin.version import __version__

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"
if not WORKFLOWS.is_dir():
    pytest.skip("the source distribution has no workflows", allow_module_level=True)
yaml = pytest.importorskip("yaml")


def read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_changelog_has_this_version_and_it_is_written_nowhere_else():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert released[0] == __version__
    assert len(re.findall(r"^## Unreleased$", text, re.MULTILINE)) == 1
    for other in ("setup.cfg", "CITATION.cff", "mkdocs.yml", "README.md"):
        assert __version__ not in (ROOT / other).read_text(encoding="utf-8")


def test_the_citation_names_the_software_and_the_paper():
    cited = read("CITATION.cff")
    assert (cited["cff-version"], cited["type"], cited["license"]) == (
        "1.2.0",
        "software",
        "Apache-2.0",
    )
    paper = cited["references"][0]
    assert "Sequential Residual" in paper["title"]
    assert [a["family-names"] for a in paper["authors"]] == ["Li", "Ghaffarzadegan", "Ren"]


def test_workflows_test_the_pythons_that_setup_cfg_names_and_run_scripts_that_exist():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    named = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    matrix = read(".github/workflows/tests.yml")["jobs"]["dependencies"]["strategy"]["matrix"]
    assert matrix["python"] == named
    assert named[0] == setup["options"]["python_requires"].removeprefix(">=")
    assert matrix["dependencies"] == ["oldest", "newest"]
    for path in WORKFLOWS.glob("*.yml"):
        for job in read(path)["jobs"].values():
            for line in "\n".join(step.get("run", "") for step in job["steps"]).splitlines():
                if line.startswith("bash "):
                    script = ROOT / line.split()[1]
                    assert script.exists(), f"{path.name}: {line}"
                    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_release_takes_the_version_that_the_code_has(tmp_path):
    """The lines of the workflow themselves, with a right and a wrong tag."""
    steps = read(".github/workflows/release.yml")["jobs"]["build"]["steps"]
    check = next(step["run"] for step in steps if "tag" in step.get("name", ""))
    for tag, status in ((f"v{__version__}", 0), ("v9.9.9", 1)):
        done = subprocess.run(
            ["bash", "-e", "-c", check.replace("python -c", "python3 -c")],
            cwd=ROOT,
            env={"GITHUB_REF_NAME": tag, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
        assert done.returncode == status


def test_issue_forms_have_what_forms_need():
    forms = [p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config"]
    assert len(forms) == 3
    for path in forms:
        form = read(path)
        assert form["name"]
        assert form["description"]
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids))
        assert all(part["attributes"]["label"] for part in form["body"] if "id" in part)
