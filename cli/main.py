"""The `clipwise` command: one Typer app, errors as one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from learner.errors import LearnerError
from server.errors import ClipwiseError

app = typer.Typer(
    help="Learn what people want from pairs of short clips.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

exports = typer.Typer(help="Write what a run has learned to files.", no_args_is_help=True)
imports = typer.Typer(help="Read what was made elsewhere.", no_args_is_help=True)
app.add_typer(exports, name="export")
app.add_typer(imports, name="import")

Config = Annotated[Path, typer.Argument(help="YAML file, e.g. experiments/coinrun-oracle.yaml")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="changes to it, e.g. queries.budget=200 seed=1")
]

RunName = Annotated[str, typer.Argument(help="as on its page", metavar="RUN")]

Port = Annotated[int | None, typer.Option(help="instead of 8000 (CLIPWISE_PORT)", min=1, max=65535)]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
) -> None:
    """Options of every subcommand."""
    if debug:
        os.environ["CLIPWISE_DEBUG"] = "1"


@app.command()
def up(
    port: Port = None,
    config: Annotated[
        Path | None, typer.Option(help="config of the first run, if there is no run yet")
    ] = None,
) -> None:
    """Migrate, make the first run, start server and worker, say the URL."""
    from cli.up import up as start

    start(port=port, config=config)


@app.command()
def serve(
    port: Port = None,
) -> None:
    """Start the web server alone."""
    from cli.serve import serve as start

    start(port=port)


@app.command()
def work() -> None:
    """Start a learner worker alone; any number may run, on any hosts."""
    from cli.work import work as start

    start()


@app.command()
def migrate() -> None:
    """Bring the database to this version's tables; safe to run twice."""
    from cli.migrate import migrate as start

    start()


@app.command()
def run(config: Config, overrides: Overrides = None) -> None:
    """Train one run headless to its end; goes on where an interrupted one stopped."""
    from learner.config import load_config

    values = load_config(config, overrides)  # before torch is loaded: a slip is told at once
    from cli.run import run as start

    start(values)


@app.command()
def demonstrate(
    name: RunName,
    out: Annotated[Path, typer.Option(help="folder, new or without demonstrations")],
    episodes: Annotated[int, typer.Option(help="how many", min=1)] = 10,
) -> None:
    """Let the newest kept agent of a run play demonstrations for other runs."""
    from cli.demonstrate import demonstrate as start

    start(name, episodes, out)


@exports.command("reward-model")
def export_reward_model(
    name: RunName,
    out: Annotated[Path, typer.Option(help="file, replaced if it is there")],
    version: Annotated[int | None, typer.Option(help="its number; the newest if not given")] = None,
) -> None:
    """Write a reward model to a file that stands alone."""
    from cli.export import reward_model as start

    start(name, version, out)


@exports.command("demonstrations")
def export_demonstrations(
    folder: Annotated[Path, typer.Argument(help="written by `clipwise demonstrate`")],
    dataset: Annotated[str, typer.Argument(help="id of the new Minari data set")],
) -> None:
    """Write demonstrations as a local Minari data set."""
    from cli.demonstrate import to_minari as start

    start(folder, dataset)


@imports.command("demonstrations")
def import_demonstrations(
    dataset: Annotated[str, typer.Argument(help="id of a local Minari data set")],
    config: Config,
    out: Annotated[Path, typer.Option(help="folder, new or without demonstrations")],
) -> None:
    """Read a Minari data set as demonstrations for runs of a config."""
    from cli.demonstrate import from_minari as start

    start(dataset, config, out)


@app.command()
def doctor() -> None:
    """Say what this machine has and lacks."""
    from cli.doctor import doctor as start

    start()


def main() -> None:
    """Run the command; an error that people can mend is one line and exit status 1."""
    try:
        app()
    except (ClipwiseError, LearnerError) as error:
        if os.environ.get("CLIPWISE_DEBUG"):
            raise
        sys.stderr.write(f"clipwise: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
