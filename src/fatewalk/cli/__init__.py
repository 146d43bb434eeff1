"""The command line: ``fatewalk init | check | run | explain | power | report``.

A command here has its options and its help, and a module of its own that does the work, imported when the
command runs: help must come at once, and torch takes seconds.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click

from fatewalk import __version__
from fatewalk.core.errors import FatewalkError, is_out_of_memory


class Commands(click.Group):
    """A group whose commands end with a sentence where the user made a mistake, and not with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries, for their programmers
                return super().invoke(ctx)
        except FatewalkError as error:
            raise click.ClickException(str(error)) from None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise click.ClickException(
                "the machine has too little memory for this screen; use a larger one"
            ) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(self.commands)


class Numbers(click.ParamType):
    """One number or several, with commas between."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float], least: float) -> None:
        self.kind, self.least = kind, least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """``5000,10000`` becomes a list."""
        if isinstance(value, list):
            return value
        try:
            numbers = [self.kind(part) for part in str(value).split(",")]
        except ValueError:
            numbers = []
        if not numbers or not all(self.least <= number < 1e9 for number in numbers):
            what = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"found {value!r}; allowed: {what} of at least {self.least:g}, such as 2,5", param, ctx)
        return numbers


def example(*lines: str, title: str = "Example") -> str:
    """The end of a command's help; its first line keeps click from filling the others."""
    return "\n".join(["\b", f"{title}:", *(f"    {line}" for line in lines)])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
    epilog=example(
        "fatewalk init screen.h5ad      looks into the file and writes screen.yaml",
        "fatewalk check screen.yaml     cells, guides, what can be found; seconds",
        "fatewalk run screen.yaml       the analysis, with a page at its end",
        "fatewalk explain TBXT          one gene in words",
        "fatewalk power --cells 20000   before the experiment: which effects can be found",
        title="From a file to a page",
    ),
)
@click.version_option(__version__, "-V", "--version", prog_name="fatewalk")
def main() -> None:
    """Which genes shift which cell fate, on which day, by how much, how sure."""


@main.command("init", epilog=example("fatewalk init screen.h5ad --guide-map guides.csv"))
@click.argument("screen", type=click.Path(path_type=Path))
@click.option(
    "--guide-map", help="Table of guides: guide_name, gene_name, is_ntc; or 10x feature_reference.csv."
)
@click.option(
    "--guide-calls",
    help="Guides in a file of their own: 10x protospacer_calls_per_cell.csv, a table cell_id, guide, or an "
    ".h5ad whose variables are guides.",
)
@click.option("--day-key", help="Column of the day, if it is not found by itself.")
@click.option("--rep-key", help="Column of the replicate.")
@click.option("--cluster-key", help="Column of the embryo, clone or well.")
@click.option("--fate-key", help="Where the fate probabilities are (obsm).")
@click.option("--fates", help="Names of their columns in order, with commas between, if the file has none.")
@click.option("--guide-key", help="Where the guides are (obsm, a column of obs, a modality, X).")
@click.option("--ntc", multiple=True, help="A guide or gene that is a control; may be given several times.")
@click.option("--reference", help="Fate that others are compared with; left out: the commonest.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Config to write; left out: SCREEN's name."
)
def _init(screen: Path, **options: Any) -> None:
    """Look into a screen and write a config for it.

    SCREEN is an AnnData or MuData file with CellRank's fate probabilities (.h5ad, .h5mu, .zarr), or a table
    of cells. The config goes into the current folder; nothing is overwritten.
    """
    from fatewalk.cli.init import write_config

    click.echo("\n".join(write_config(screen, {name: value for name, value in options.items() if value})))


@main.command("check", epilog=example("fatewalk check screen.yaml"))
@click.argument("config", type=click.Path(path_type=Path))
def _check(config: Path) -> None:
    """Check a config and its data in seconds, before any hour of computing.

    Says what is in the screen, the smallest effect that it can show, how large the fit will be, and what
    looks odd.
    """
    from fatewalk.cli.check import describe

    for line in describe(config):
        click.echo(line)


@main.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=example("fatewalk run screen.yaml --cores 8", "fatewalk run screen.yaml --profile profiles/slurm"),
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("snakemake_options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def _run(ctx: click.Context, config: Path, snakemake_options: tuple[str, ...]) -> None:
    """Run the analysis that a config describes, in the current folder.

    Every option after the config goes to Snakemake, which does the work: --cores, --profile, -n (say what
    would be done). What is finished already is not done again.
    """
    if {"-h", "--help"} & set(snakemake_options):  # after the config, too; Snakemake's own: snakemake --help
        click.echo(ctx.get_help())
        return
    from fatewalk.cli.run import run

    ctx.exit(run(config, snakemake_options))


@main.command("explain", epilog=example("fatewalk explain TBXT --run results/screen/main"))
@click.argument("gene")
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of a finished run; left out: the only one below ./results.",
)
def _explain(gene: str, folder: Path | None) -> None:
    """Say what a finished run found of one gene: what moved, when, how sure.

    A gene without a hit is explained too.
    """
    from fatewalk.cli.explain import find_run, in_words

    click.echo("\n".join(in_words(find_run(folder), gene)))


@main.command("report", epilog=example("fatewalk report --run results/screen/main"))
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of a finished run; left out: the only one below ./results.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write; left out: report.html of the run."
)
def _report(folder: Path | None, output: Path | None) -> None:
    """Write the page of a finished run again, from its tables.

    The page is one file that any browser opens, and that can be sent to others.
    """
    from fatewalk.cli.explain import find_run
    from fatewalk.cli.report import write_again

    click.echo(f"Open the page: {write_again(find_run(folder).run, output)}")


@main.command("power", epilog=example("fatewalk power --cells 5000,10000,20000 --moi 2,5"))
@click.option("--cells", type=Numbers(int, 100), default="5000,10000,20000", help="Cells on all days.")
@click.option("--moi", type=Numbers(float, 0.1), default="3", help="Mean number of guides in a cell.")
@click.option("--guides-per-gene", type=Numbers(int, 1), default="3", help="Guides of each gene.")
@click.option("--ntc-share", type=Numbers(float, 0), default="0.1", help="Share of control guides.")
@click.option("--days", type=Numbers(int, 1), default="3", help="Days of sampling.")
@click.option(
    "--genes", type=click.IntRange(4), default=60, help="Genes of the library; half have an effect."
)
@click.option("--fates", type=click.IntRange(2), default=3, help="Fates of the cells.")
@click.option("--screens", type=click.IntRange(1), default=2, help="Simulated screens for each plan.")
@click.option("--seed", default=1, help="Seed of the first of them.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default="power.csv",
    help="Table to write; the figure gets its name with .png.",
)
def _power(genes: int, fates: int, screens: int, seed: int, output: Path, **grid: list[Any]) -> None:
    """Say which effects a planned screen finds, before it is made.

    Screens of every combination of the numbers are simulated, and analysed as yours will be, by the quick
    fit. The smallest effect is the one that makes its gene a hit in 80 % of cases. A screen of 12,000 cells
    takes about ten seconds.
    """
    from fatewalk.cli.power import plan_screens

    for line in plan_screens(grid, genes, fates, screens, seed, output):
        click.echo(line)
