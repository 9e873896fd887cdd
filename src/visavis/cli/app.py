"""The program: one place where errors become one line and signals an orderly end."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from visavis.errors import VisavisError

INTERRUPTED = 130
"""Exit code after Ctrl-C or a request to terminate."""

app = typer.Typer(
    name="visavis",
    help="One portrait and a voice become a person who speaks to you.",
    epilog="Any command takes --debug, which shows the traceback of an unexpected error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; errors become one line, and exit code 1 (2: wrong usage)."""
    is_debug = "--debug" in sys.argv[1:]
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        app(arguments, prog_name="visavis")
    except VisavisError as error:
        if is_debug:
            raise
        _fail(str(error))
    except Exception as error:  # the border to people
        if is_debug:
            raise
        _fail(
            f"unexpected {type(error).__name__}: {error}. This is a defect of Visavis: "
            "please report it with what the same command prints with --debug."
        )


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through all ``with`` blocks, so that no half-written file stays; later signals wait."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(INTERRUPTED)


def _fail(message: str) -> NoReturn:
    """Print ``message`` as one line on the standard error stream and exit with code 1."""
    typer.echo(f"visavis: error: {' '.join(message.split())}", err=True)
    raise SystemExit(1)


def _show_version(is_asked: bool) -> None:
    """Print the version and exit."""
    if is_asked:
        from visavis import __version__

        typer.echo(f"visavis {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """One portrait and a voice become a person who speaks to you."""
