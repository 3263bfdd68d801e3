"""`srvae-export`: a run's representation in a format that other tools read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from srvae_plugin.cli.command_line import (
    add_bind,
    add_import,
    add_output,
    make_parser,
    run_command,
)
from srvae_plugin.version import __version__

if TYPE_CHECKING:
    from srvae_plugin.interchange.exporters import Exported

__all__ = ["EXPORT_EXAMPLES", "EXPORT_HELP", "export", "export_main"]


EXPORT_HELP = """\
Write a run's representation in a format that other tools can read. If the format contains the
model, its codes of 256 images are compared with the original's.
"""
EXPORT_EXAMPLES = """\
examples:
  srvae-export runs/seed3 --to onnx
  srvae-export runs/seed3 --to torchscript --output submission
  srvae-export runs/seed3 --to npz --bind 'export_npz.num_observations = 10000'

exit status: 0 done, 2 bad input (explained in one line).
"""


def export(
    run: str | Path,
    to: str,
    output: str | Path | None = None,
    overwrite: bool = False,
    representation: str = "mean",
    bindings: str | Sequence[str] | None = (),
) -> Exported:
    """Write a representation of a run directory in another format.

    Args:
        run: the run directory.
        to: name of the format: an entry point of the group `srvae_plugin.exporters`.
        output: folder to make; `<run>/exports/<representation>/<to>` by default.
        overwrite: replace the folder if it is there and holds an export.
        representation: a folder name below `<run>/postprocessed`.
        bindings: gin bindings: options of the format, another place of the data set.

    Returns the main file and facts such as the largest difference from the model's own codes; they
    are in the folder's `export.json` too.

    Nothing is left behind then.

    Raises:
        ValueError: for an unknown format, a folder that is no run or exists already, a package that
            is missing, and a model that the format cannot hold.
    """
    from srvae_plugin.config import gin_files, gin_reach, plugins
    from srvae_plugin.data.storage import manifest
    from srvae_plugin.files import write_json
    from srvae_plugin.interchange.exporters import Exported, load_trained
    from srvae_plugin.runs.directory import EXPORT_FILE, RunDirectory
    from srvae_plugin.runs.locks import only_writer_of

    exporter = plugins.find("exporters", to)
    run, bindings = Path(run), gin_files.as_list(bindings)
    target = Path(output or RunDirectory(run).export(representation, to)).absolute()
    with gin_files.configured((), bindings):
        roots = [gin_reach.Root("srvae_plugin.dataset"), *gin_reach.roots_of(exporter)]
        gin_reach.require_read(roots, bindings)
    RunDirectory(run).finished_representation(representation)
    with (
        only_writer_of(target),
        gin_files.configured((), bindings),
        _replacing(target, overwrite) as folder,
    ):
        trained = load_trained(run, representation, bindings)
        done = exporter(trained, folder)
        about = {
            "format": to,
            "file": str(done.file.relative_to(folder)),
            "representation": representation,
            "run": str(run.absolute()),
            "postprocess_uuid": trained.directory.read()["uuid"],
            "observation_shape": trained.observation_shape,
            "num_latent": trained.function.model.num_latent,
            "bindings": list(bindings),
            "srvae_plugin": __version__,
            **done.facts,
            "sha256": manifest.digests_in(folder),
        }
        write_json(folder / EXPORT_FILE, about)
    return Exported(target / about["file"], done.facts)


@contextmanager
def _replacing(target: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a new folder that takes the target's place, if an export may be there."""
    from srvae_plugin.files import new_folder, put_back
    from srvae_plugin.runs.directory import EXPORT_FILE

    put_back(target)
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists: --overwrite replaces it, --output names another folder")
    if target.exists() and not (target / EXPORT_FILE).is_file():
        raise ValueError(f"{target} holds no export: --overwrite does not delete it")
    with new_folder(target, overwrite) as folder:
        yield folder


def export_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-export`."""
    formats = sorted({point.name for point in entry_points(group="srvae_plugin.exporters")})
    parser = make_parser("srvae-export", EXPORT_HELP, EXPORT_EXAMPLES)
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="a run directory")
    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(formats))
    add_output(parser, "folder to create (default: RUN_DIR/exports/<representation>/<format>)")
    parser.add_argument(
        "--representation",
        default="mean",
        metavar="KIND",
        help="mean (default) or another folder in RUN_DIR/postprocessed",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing export")
    add_bind(parser)
    add_import(parser)
    options = parser.parse_args(arguments)

    def work() -> None:
        from srvae_plugin.config.gin_sources import import_modules

        import_modules(options.modules)
        done = export(
            options.run,
            options.to,
            options.output,
            options.overwrite,
            options.representation,
            options.bind,
        )
        print(f"exported  {done.file}")
        for name, value in done.facts.items():
            print(f"  {name}: {value:.2g}" if isinstance(value, float) else f"  {name}: {value}")

    run_command("srvae-export", work, options.debug, resumes=False)
