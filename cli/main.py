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

user = typer.Typer(help="Accounts.", no_args_is_help=True)
token = typer.Typer(help="API tokens.", no_args_is_help=True)
app.add_typer(user, name="user")
app.add_typer(token, name="token")

Name = Annotated[str, typer.Argument(help="the person's name")]
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
        Path | None,
        typer.Option(help="config of the run; else the newest run for people goes on"),
    ] = None,
) -> None:
    """Migrate, make the first run, start server and worker, say the URL."""
    from cli.up import up as start

    start(port=port, config=config)


@app.command()
def serve(
    port: Port = None,
    host: Annotated[
        str | None, typer.Option(help="address; beyond this machine people log in (CLIPWISE_HOST)")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="processes behind the port (CLIPWISE_WORKERS)", min=1, max=64)
    ] = None,
) -> None:
    """Start the web server alone."""
    from cli.serve import serve as start

    start(port=port, host=host, workers=workers)


@app.command()
def work(
    first: Annotated[
        str | None, typer.Option(help="name of the run to begin with; else the oldest")
    ] = None,
) -> None:
    """Start a learner worker alone; any number may run, on any hosts."""
    from cli.work import work as start

    start(first)


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
def study(
    config: Config,
    overrides: Overrides = None,
    stage: Annotated[
        list[str] | None, typer.Option(help="Run this stage alone; may be given several times.")
    ] = None,
) -> None:
    """Rankings and generalisation, or regressed rewards: from experts to a report."""
    from learner.study.loading import load_any_study

    values = load_any_study(config, overrides)
    from cli.study import study as start

    start(values, stage or [])


@app.command()
def evaluate(
    name: RunName,
    episodes: Annotated[int, typer.Option(help="on as many unseen levels", min=4)] = 100,
) -> None:
    """Judge a run's reward model and agent on unseen levels, baselines beside them."""
    from cli.evaluate import evaluate as start

    start(name, episodes)


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(help="as on their pages", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="folder")] = Path("report"),
    metric: Annotated[str, typer.Option(help="what runs are compared by")] = (
        "evaluation/return_test"
    ),
) -> None:
    """Compare runs in one HTML file that opens without a network, and PNGs."""
    from cli.report import report as start

    start(names, metric, out)


@app.command()
def demonstrate(
    name: RunName,
    out: Annotated[Path, typer.Option(help="folder, new or without demonstrations")],
    episodes: Annotated[int, typer.Option(help="how many", min=1)] = 10,
    played: Annotated[
        bool, typer.Option("--played", help="what people played and kept, not the agent")
    ] = False,
) -> None:
    """Let the newest kept agent of a run play demonstrations for other runs."""
    from cli.demonstrate import demonstrate, take_played

    if played:
        take_played(name, out)
    else:
        demonstrate(name, episodes, out)


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


@exports.command("preferences")
def export_preferences(
    name: RunName,
    out: Annotated[Path, typer.Option(help="file ending in .csv, .jsonl or .parquet")],
    names: Annotated[bool, typer.Option(help="people's names, not pseudonyms")] = False,
) -> None:
    """Write every answer of a run, one row each, also while people label."""
    from cli.preferences import export_answers as start

    start(name, out, names=names)


@exports.command("clips")
def export_clips(
    name: RunName, out: Annotated[Path, typer.Option(help="zip file, replaced if it is there")]
) -> None:
    """Write every clip of a run into a zip archive."""
    from cli.preferences import export_clips as start

    start(name, out)


@imports.command("preferences")
def import_preferences(
    name: RunName,
    file: Annotated[Path, typer.Argument(help="as `clipwise export preferences` writes it")],
) -> None:
    """Store answers to a run's clips that were given elsewhere; all rows or none."""
    from cli.preferences import import_answers as start

    start(name, file)


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
def backup(folder: Annotated[Path, typer.Argument(help="where the copy is kept")]) -> None:
    """Copy database and artifacts while everything goes on (SQLite; else see the docs)."""
    from cli.backup import backup as start

    start(folder)


@user.command("add")
def user_add(
    name: Name, role: Annotated[str, typer.Option(help="annotator, researcher or admin")]
) -> None:
    """Make an account; the password is asked for, or read from standard input."""
    from cli.user import add

    add(name, role)


@user.command("list")
def user_list() -> None:
    """Show who has an account."""
    from cli.user import show

    show()


@user.command("password")
def user_password(name: Name) -> None:
    """Set somebody's password; they are logged out everywhere."""
    from cli.user import set_password

    set_password(name)


@user.command("role")
def user_role(
    name: Name, role: Annotated[str, typer.Argument(help="annotator, researcher or admin")]
) -> None:
    """Give somebody another role."""
    from cli.user import set_role

    set_role(name, role)


@user.command("deactivate")
def user_deactivate(name: Name) -> None:
    """Let somebody in no longer; their answers stay."""
    from cli.user import deactivate

    deactivate(name)


@token.command("create")
def token_create(
    person: Annotated[str, typer.Argument(help="whose")],
    name: Annotated[str, typer.Option(help="what it is for")] = "command line",
    scopes: Annotated[str, typer.Option(help="label, read, manage; with commas")] = "label",
) -> None:
    """Make a token and print it, this once."""
    from cli.token import create

    create(person, name, scopes)


@token.command("list")
def token_list() -> None:
    """Show the tokens that work."""
    from cli.token import show

    show()


@token.command("revoke")
def token_revoke(number: Annotated[int, typer.Argument(help="as in the list", min=1)]) -> None:
    """Let a token work no longer."""
    from cli.token import revoke

    revoke(number)


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
