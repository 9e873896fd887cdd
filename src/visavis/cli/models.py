"""``visavis models``: published models on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from visavis.cli.app import app
from visavis.options import QuietOption

if TYPE_CHECKING:
    from visavis.hub.fetch import Step

models = typer.Typer(
    help="Fetch and look after published models: Ditto's, LivePortrait's.", no_args_is_help=True
)
app.add_typer(models, name="models")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON only.")]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name that `models list` tells, or a folder.")
]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A name that `models list` tells.")
]


@models.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Tell which models are known, what is here of them, and under which licence."""
    from visavis.hub import PACKAGED
    from visavis.hub.catalog import CATALOG
    from visavis.hub.folder import missing, models_folder

    rows: list[dict[str, Any]] = []
    for model in CATALOG.values():
        folder = models_folder() / model.name
        rows.append(
            {
                "name": model.name,
                "about": model.about,
                "repository": model.repository,
                "revision": model.revision,
                "size": model.size,
                "licence": model.licence_name,
                "files": len(model.files),
                "missing": len(missing(model, folder)),
                "folder": str(folder),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        here = row["files"] - row["missing"]
        state = "here" if not row["missing"] else f"{here} of {row['files']} files here"
        typer.echo(f"{row['name']}: {row['about']}")
        typer.echo(f"  {_size(row['size'])}, {row['licence']}, {row['repository']}")
        typer.echo(f"  {state}: {row['folder']}")
    typer.echo(f"In the package, with nothing to fetch: the default and {', '.join(PACKAGED)}")


@models.command()
def fetch(
    name: NameArgument,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You agree to the licence; asked for once.")
    ] = False,
    revision: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Another commit, branch or tag of its repository.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring a model from the hub; a second run goes on where one stopped."""
    from visavis.hub.fetch import fetch as bring

    def show(step: Step) -> None:
        name, size = step.file.name, _size(step.size)
        typer.echo(f"{step.number} of {step.count}: {name}, {size}", err=True)

    folder = bring(
        name,
        accept_licence=accept_licence,
        revision=revision,
        quiet=quiet or not sys.stderr.isatty(),
        on_file=None if quiet else show,
    )
    typer.echo(json.dumps({"folder": str(folder)}) if as_json else folder)


@models.command()
def check(model: ModelArgument, as_json: JsonOption = False) -> None:
    """Look through the files of a model: are all there, whole, and what they should be?"""
    from visavis.neural.extra import extra

    with extra():
        from visavis.neural.checking import check as look

    verdicts = look(model)
    if as_json:
        typer.echo(json.dumps([asdict(verdict) for verdict in verdicts]))
    for verdict in verdicts if not as_json else []:
        mark, file = "ok  " if verdict.is_ok else "FAIL", verdict.file or "-"
        typer.echo(f"{mark}  {verdict.network}: {file}: {verdict.text}")
    if not all(verdict.is_ok for verdict in verdicts):
        raise typer.Exit(1)


@models.command()
def convert(
    model: ModelArgument,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--out", help="Another folder than the model's.", show_default=False),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also export the networks: faster on a CPU.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model's weights again as ours: safetensors, no pickle."""
    from visavis.neural.extra import extra

    with extra():
        from visavis.neural.converting import convert as rewrite

    _tell(rewrite(model, out, is_exported=onnx), as_json)


@models.command()
def random(
    name: NameArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Networks that need next to no time.")
    ] = False,
    seed: Annotated[int, typer.Option(help="0 is the rule of the golden data.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write random weights as a model is published, to try and time it without the real ones."""
    from visavis.neural.extra import extra

    with extra():
        from visavis.neural.random_weights import write_random

    _tell(write_random(name, out, is_tiny=tiny, seed=seed), as_json)


def _tell(files: list[Path], as_json: bool) -> None:
    """Print which files were written."""
    if as_json:
        typer.echo(json.dumps([str(file) for file in files]))
        return
    for file in files:
        typer.echo(f"{file}: {_size(file.stat().st_size)}")


def _size(count: int | None) -> str:
    """Return a number of bytes as people read it."""
    if count is None:
        return "size unknown"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
