"""Commands for what is live, and for where a video comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from visavis.cli.app import app
from visavis.errors import MissingExtra


@app.command()
def serve(  # noqa: PLR0913 - one argument per option
    settings: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="SETTINGS", help="A .toml or .json file; all settings fit in it."),
    ] = None,
    host: Annotated[Optional[str], typer.Option(help="Address to listen on: 127.0.0.1.")] = None,  # noqa: UP045
    port: Annotated[Optional[int], typer.Option(help="Port: 8000.")] = None,  # noqa: UP045
    avatars: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="A folder of portraits to choose from.", show_default=False),
    ] = None,
    agent: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Who answers: none, echo, scripted, chat:… or realtime:…."),
    ] = None,
    size: Annotated[Optional[int], typer.Option(help="Side of the picture: 512.")] = None,  # noqa: UP045
    quality: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="draft, standard or high."),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Other networks: latent-tiny, ditto, liveportrait or a folder (visavis models)."
        ),
    ] = None,
    max_sessions: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Sessions at a time; as many as the machine carries by default."),
    ] = None,
    require_consent: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--require-consent", help="Take no portrait without a record of consent."),
    ] = None,
) -> None:
    """Serve live persons: a page to talk with them, WebRTC, WebSocket."""
    given = {
        "host": host,
        "port": port,
        "avatars": avatars,
        "agent": agent,
        "size": size,
        "quality": quality,
        "model": model,
        "max_sessions": max_sessions,
        "require_consent": require_consent,
    }
    run({name: value for name, value in given.items() if value is not None}, settings)


def run(given: dict[str, Any], file: Path | None) -> None:
    """Serve with the settings of ``file``, and over them those ``given``."""
    try:
        import aiortc  # noqa: F401
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra('The live server needs: pip install "visavis[live]".') from error
    from visavis.serve.run import serve as begin
    from visavis.serve.settings import read_settings, settings_from

    base = settings_from({} if file is None else read_settings(file))
    begin(settings_from(given, base), ready=lambda address: typer.echo(f"Open {address}", err=True))


@app.command()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A video, picture or recording.")],
    portrait: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Was it made of this portrait?", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON only.")] = False,
) -> None:
    """Tell who signed FILE, whether it was altered since, whether AI made it (exit code)."""
    from visavis.provenance.policy import read_policy
    from visavis.provenance.verify import verify as examine

    verdict = examine(file, read_policy(), portrait)
    typer.echo(json.dumps(verdict.as_dict()) if as_json else "\n".join(verdict.lines()))
    if verdict.exit_code:
        raise typer.Exit(verdict.exit_code)
