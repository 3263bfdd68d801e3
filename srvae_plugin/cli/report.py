"""Command line: `srvae-report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srvae_plugin.cli.command_line import make_parser, run_command

__all__ = ["EXAMPLES", "HELP", "report_main"]


HELP = """\
Write an HTML page about runs, and a CSV of all its numbers, named after the page.

Give study directories, run directories, any folders of run directories (disentanglement_lib's too),
or JSON files written by its aggregate_results_to_json. The page opens with a table of models and
metrics and the conclusions it allows. It then shows every seed, with mean, median and interquartile
mean and their bootstrap intervals (for 5 or more seeds), published numbers and the differences in
protocol, paired differences, how many seeds are needed, learning curves, traversals and failures.
It needs no other file and no network.
"""
EXAMPLES = """\
examples:
  srvae-report studies/ablation --output ablation.html
  srvae-report runs/sr_vae-* runs/vae-* --compare-with VAE
  srvae-report --published
  srvae-report runs --published-csv ours.csv      # columns as printed by --published-columns

exit status: 0 done, 2 bad input (explained in one line).
"""


def report_main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `srvae-report`."""
    parser = make_parser("srvae-report", HELP, EXAMPLES)
    parser.add_argument(
        "places", nargs="*", type=Path, metavar="DIR", help="study or folder of runs"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("report.html"), metavar="HTML",
        help="the page (default: report.html); report.csv is written beside it",
    )  # fmt: skip
    parser.add_argument("--title", default="", help="title of the page (default: the study's name)")
    parser.add_argument(
        "--published", action="store_true", help="only print published numbers and their sources"
    )
    parser.add_argument(
        "--published-csv", action="append", type=Path, default=[], metavar="FILE",
        help="your own file of published numbers, with the same columns; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--published-columns", action="store_true", help="only print the columns of such a file; "
        "`metric` can also be any metric.key, such as mig.discrete_mig",
    )  # fmt: skip
    parser.add_argument(
        "--compare-with", metavar="MODEL", help="compare every model with this one, by its label "
        "in the report (default: all pairs of up to six models)",
    )  # fmt: skip
    parser.add_argument(
        "--confidence", type=float, default=0.95, help="level of the intervals (default: 0.95)"
    )
    parser.add_argument(
        "--resamples", type=int, default=2000, help="number of bootstrap resamples (default: 2000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    parser.add_argument("--overwrite", action="store_true", help="replace the page and its CSV")
    options = parser.parse_args(arguments)
    only_list = options.published or options.published_columns
    if bool(options.places) == only_list:
        parser.error("give folders of runs, or --published or --published-columns alone")

    def work() -> None:
        from srvae_plugin.report.comparison import published

        if options.published_columns:
            print(",".join(published.COLUMNS))
            print("optional: " + ",".join(published.PROTOCOL_COLUMNS))
            print("confidence: " + ", ".join(published.CONFIDENCE))
            print(f"metric: {', '.join(published.SCORES)}, or any metric.key reported")
            return
        if options.published:
            print(published.as_text(published.published_scores(options.published_csv)))
            return
        from srvae_plugin.report.comparison.pairs import Bootstrap
        from srvae_plugin.report.words import counted
        from srvae_plugin.report.write import write_report

        done = write_report(
            options.places, options.output, published=options.published_csv,
            bootstrap=Bootstrap(options.confidence, options.resamples, options.seed),
            compare_with=options.compare_with, title=options.title, overwrite=options.overwrite,
        )  # fmt: skip
        counts = counted(done.runs, "run"), counted(len(done.models), "model")
        print(f"{' of '.join(counts)}: {'; '.join(done.models)}")
        print(f"report  {done.page}\nscores  {done.scores}")
        if done.notes:
            print(f"notes   {done.notes}, under Failures on the page")

    run_command("srvae-report", work, options.debug, resumes=False)
