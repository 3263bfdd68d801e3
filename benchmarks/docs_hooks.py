"""Hooks of mkdocs: the README is the home page, links that leave docs/ lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?P<up>(?:\.\./)+)(?P<target>[^)#]+)(?P<anchor>#[^)]*)?(?=\))")


def on_config(config: Any) -> Any:
    """Put the metrics' pages into the navigation, where it says `metrics/*.md`."""
    made = sorted((ROOT / "docs" / "metrics").glob("*.md"))
    entries_made = [{_title(path): f"metrics/{path.name}"} for path in made]
    for section in config.nav:
        for title, entries in section.items():
            if isinstance(entries, list) and "metrics/*.md" in entries:
                k = entries.index("metrics/*.md")
                section[title] = entries[:k] + entries_made
    return config


def on_files(files: Any, config: Any) -> Any:
    """The README as index.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\]\((?=[A-Z]\w+\.(?:md|cff)\))", "](../", text)
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files outside of the site lead to the repository."""

    def moved(match: re.Match[str]) -> str:
        place = (Path("docs") / page.file.src_uri).parent / match["up"] / match["target"]
        inside = _normal(place)
        if inside.parts[0] == "docs" and files.get_file_from_path("/".join(inside.parts[1:])):
            return match[0]
        return f"{config.repo_url}/blob/main/{inside.as_posix()}{match['anchor'] or ''}"

    text = LINK.sub(moved, markdown)
    raw = f"{config.repo_url}/blob/main/docs/measurements"
    return re.sub(r"\]\(measurements(?=[/)])", f"]({raw}", text)


def _title(page: Path) -> str:
    return re.search(r"^# (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)[1]  # type: ignore[index]


def _normal(path: Path) -> Path:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return Path(*parts)
