"""`python -m srvae_adapters.drop_in script.py ...`: run a script on disentanglement_lib's names."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from srvae_adapters.drop_in import install

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a script in this process, as `python script.py ...` would.

    Args:
        arguments: those of the command line; None: `sys.argv`'s.
    """
    parser = argparse.ArgumentParser(
        prog="python -m srvae_adapters.drop_in",
        description="Run a script with srvae_plugin in the place of disentanglement_lib.",
    )
    parser.add_argument(
        "--name",
        action="append",
        help="package that the script imports, such as evaluation for a copied folder; may be "
        "repeated (default: disentanglement_lib)",
    )
    parser.add_argument("script", type=Path, help="a Python file")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="the script's own arguments")
    asked = parser.parse_args(arguments)
    if not asked.script.is_file():
        parser.error(f"{asked.script}: no such file")
    sys.argv = [str(asked.script), *asked.rest]
    sys.path.insert(0, str(asked.script.resolve().parent))
    for name in asked.name or ["disentanglement_lib"]:
        try:
            install(name)
        except (ValueError, ImportError) as error:
            parser.error(str(error))
    runpy.run_path(str(asked.script), run_name="__main__")


if __name__ == "__main__":
    main()
