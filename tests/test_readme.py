"""What the documents point to is there, and what they show runs: every Python block is executed,
with fewer steps and points, and every line for the shell is read by the command's own parser.
"""

import argparse
import ast
import inspect
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from srvae_adapters import drop_in

from srvae_plugin.cli import data, evaluate, export, report, run, study
from srvae_plugin.config import gin_files, plugins
from srvae_plugin.testing import __main__ as conformance
from srvae_plugin.training import trackers  # noqa: F401  (known to gin once it is imported)

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TEXTS = dict(zip(NAMES, (page.read_text(encoding="utf-8") for page in PAGES), strict=True))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    "srvae-run": run.run_main,
    "srvae-evaluate": evaluate.evaluate_main,
    "srvae-data": data.data_main,
    "srvae-report": report.report_main,
    "srvae-study": study.study_main,
    "srvae-export": export.export_main,
}
"""Entry points, called until their options are parsed."""

FEWER = (
    (r"steps=\d+", "steps=1, batch_size=2, eval_steps=1, log_every=1"),
    (r"(log_every=1), batch_size=\d+", r"\1"),
    (r"num_latent=\d+", "num_latent=2"),
    (r"2 \* 10\b", "2 * 2"),
    (r"(sv\.score\(.*), \[(.*)\]\)", r"\1, few([\2]))"),
    (r"data\[::149\]", "data[::1499]"),
    (r"sample_observations\(2000", "sample_observations(20"),
    (r"reshape\(2000", "reshape(20"),
    (r"num_train=\d+", "num_train=60"),
    (r"num_test=\d+", "num_test=60"),
)
"""Patterns in the documents' code, and what makes them cheap."""
SMALL = {"num_train": 60, "num_test": 60, "num_eval": 60, "num_variance_estimate": 60}


def few(metrics):
    """Settings of the metrics named for `sv.score`, at a few points each."""
    accepted = {m: inspect.signature(plugins.find("metrics", m)).parameters for m in metrics}
    return {m: {k: v for k, v in SMALL.items() if k in accepted[m]} for m in metrics}


def blocks(page, *languages):
    return [text for language, text in BLOCK.findall(TEXTS[page]) if language in languages]


def python_of(page):
    """The page's Python, one script: its blocks build on each other."""
    code = "\n".join(blocks(page, "python"))
    for pattern, cheap in FEWER:
        code = re.sub(pattern, cheap, code)
    return code


def shell_lines(page):
    """Every command of the page: continued lines as one, and each of `a && b`."""
    for block in blocks(page, "", "bash", "shell"):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # a quotation of output
                continue
            for part in " ".join(map(shlex.quote, words)).split(" '&&' "):
                if part:
                    yield shlex.split(part)


class ParsedError(Exception):
    """The command's options are fine."""


@pytest.fixture
def only_parse(monkeypatch):
    """Let a command stop once it has parsed its options."""
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, *given, **named):
        parse(parser, *given, **named)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


@pytest.mark.parametrize("page", NAMES)
def test_relative_links_lead_somewhere(page):
    text = BLOCK.sub("", TEXTS[page])
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert "://" in link or ((ROOT / page).parent / link).exists(), link


def test_the_readme_links_to_every_guide():
    linked = set(re.findall(r"\]\(docs/(\w+)\.md\)", TEXTS["README.md"]))
    guides = {Path(name).stem for name in NAMES if re.fullmatch(r"docs/\w+\.md", name)}
    linked_from_guides = {
        link
        for name, text in TEXTS.items()
        if name != "README.md"
        for link in re.findall(r"\]\((\w+)\.md[)#]", text)
    }
    assert guides <= linked | linked_from_guides | {"api"}


@pytest.mark.parametrize("page", [n for n in NAMES if blocks(n, "python")])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_python_blocks_run(page, tmp_path, monkeypatch, capsys):
    code = python_of(page)
    assert ast.parse(code)
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)
    for name in [name for name in sys.modules if name.partition(".")[0] == "disentanglement_lib"]:
        monkeypatch.delitem(sys.modules, name)  # a page installs the drop-in
    try:
        exec(compile(code, page, "exec"), {"few": few, "__name__": "docs"})
    finally:
        drop_in.uninstall()
    for written in re.findall(r"savefig\(\"(.*?)\"\)", code):
        assert (tmp_path / written).stat().st_size > 1000


def test_shell_lines_name_commands_files_and_options_that_exist(only_parse, capsys):
    checked = dict.fromkeys([*COMMANDS, "python", "bash", "pip"], 0)
    for page in NAMES:
        for words in shell_lines(page):
            name = Path(words[0]).name
            name = "python" if name.startswith("python") else name
            if name not in checked:
                continue
            checked[name] += 1
            try:
                check(name, words)
            except (SystemExit, AssertionError) as error:
                said = capsys.readouterr().err or error
                raise AssertionError(f"{page}: {shlex.join(words)}: {said}") from error
    assert all(checked[name] > 1 for name in COMMANDS), checked


def check(name, words):
    if name in COMMANDS:
        with pytest.raises(ParsedError):
            COMMANDS[name](words[1:])
        return
    if words[1:3] == ["-m", "srvae_plugin.testing"]:
        with pytest.raises(ParsedError):
            conformance.main(words[3:])
    elif name in ("python", "bash") and words[1:] and words[1][0] != "-":
        script = ROOT / words[1]
        assert script.exists(), f"{words[1]} does not exist"
        sources = script.parent.glob(f"{script.stem}*")  # a benchmark's parts are named after it
        text = "".join(path.read_text(encoding="utf-8") for path in sources)
        for option in (word for word in words[2:] if word.startswith("--")):
            made = option in text or f'"{option[2:]}"' in text
            assert made, f"{words[1]} has no {option}"
    elif name == "pip":
        extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
        setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
        for extra in ",".join(extras).split(","):
            assert not extra or re.search(rf"^{extra} =$", setup, re.MULTILINE), extra


def test_gin_blocks_name_configurables_and_parameters_that_exist(tmp_path):
    plugins.load()
    file = tmp_path / "block.gin"
    for page in NAMES:
        for text in blocks(page, "gin"):
            file.write_text(text, encoding="utf-8")
            with gin_files.configured([str(file)], []):
                pass


def test_the_command_for_ones_own_images_takes_the_file_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.linspace(0, 1, 32 * 32 * 40, dtype=np.float32).reshape(40, 32, 32, 1)
    np.savez("my_images.npz", images=images)
    (words,) = [words for words in shell_lines("docs/data.md") if words[0] == "srvae-run"]
    few = ("model.training_steps = 1", "run.metrics = []", "run.pictures = False")
    run.run_main([*words[1:], "--output", "a", *(part for one in few for part in ("--bind", one))])
    assert Path("a/model/model.safetensors").is_file()
