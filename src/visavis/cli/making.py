"""Commands that make something: videos, pictures, clips, motion for other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from visavis.cli.app import app
from visavis.errors import InputError
from visavis.options import (
    AudioArgument,
    BackgroundOption,
    BadgeOption,
    CropOption,
    DemoOption,
    DriveHowOption,
    DriveOption,
    FaceOption,
    FpsOption,
    ListenOption,
    LoopOption,
    ModelOption,
    MotionOption,
    MotionOutOption,
    NeuralOption,
    OutOption,
    PortraitArgument,
    QualityOption,
    QuietOption,
    RedriveOption,
    SeedOption,
    SizeOption,
    StepsOption,
    TextOption,
    TrimOption,
    VoiceOption,
    drive_of,
    timeline_of,
    trim_of,
    with_controls,
)

if TYPE_CHECKING:
    from visavis.api import Result, Tick


@contextmanager
def _progress_bar(is_quiet: bool) -> Iterator[Callable[[Tick], None] | None]:
    """Show a bar with the real-time factor on the standard error stream while frames are made."""
    if is_quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.completed:.0f} frames"),
        TextColumn("{task.fields[factor]:.1f} x real time"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, factor=0.0)

        def show(tick: Tick) -> None:
            bar.update(task, completed=tick.frames, total=tick.total, factor=tick.realtime_factor)

        yield show


@app.command()
@with_controls
def animate(  # noqa: PLR0913 - one argument per option
    portrait: PortraitArgument = None,
    audio: AudioArgument = None,
    out: OutOption = "out.mp4",
    size: SizeOption = None,
    fps: FpsOption = 25,
    seed: SeedOption = 0,
    crop: CropOption = None,
    loop: LoopOption = "pingpong",
    redrive: RedriveOption = "mouth",
    trim: TrimOption = None,
    face: FaceOption = None,
    motion: MotionOption = None,
    drive: DriveOption = None,
    drive_how: DriveHowOption = None,
    motion_out: MotionOutOption = None,
    listen_to: ListenOption = None,
    model: NeuralOption = None,
    motion_model: ModelOption = None,
    steps: StepsOption = None,
    background: BackgroundOption = "photo",
    quality: QualityOption = "standard",
    text: TextOption = None,
    voice: VoiceOption = "local",
    badge: BadgeOption = False,
    demo: DemoOption = False,
    quiet: QuietOption = False,
    *,
    controls: dict[str, Any],
) -> None:
    """Make a video of PORTRAIT speaking AUDIO."""
    from visavis import api, opening

    if demo and portrait is not None:
        raise InputError("--demo brings its own portrait and voice; leave PORTRAIT and AUDIO out.")
    if demo:
        portrait, audio = str(opening.DEMO_PORTRAIT), str(opening.DEMO_SPEECH)
    if portrait is None or all(what is None for what in (audio, text, motion, drive, listen_to)):
        raise InputError(
            "animate needs a portrait and a recording: visavis animate PORTRAIT AUDIO -o OUT.mp4 "
            '(or --demo, or --text "…", --motion FILE or --drive VIDEO instead of a recording).'
        )
    with _progress_bar(quiet) as progress:
        result = api.animate(
            portrait,
            audio,
            out,
            size=size,
            fps=fps,
            seed=seed,
            crop=crop,
            trim=trim_of(trim),
            face=face,
            motion=motion,
            drive=drive_of(drive, drive_how),
            motion_out=motion_out,
            other=listen_to,
            controls=timeline_of(**controls),
            model=model,
            motion_model=motion_model,
            steps=steps,
            loop=loop,
            redrive=redrive,
            background=background,
            quality=quality,
            text=text,
            voice=voice,
            badge=badge,
            progress=progress,
        )
    if not quiet:
        _report(result)


def _report(result: Result) -> None:
    """Tell people, on the standard error stream, what was made and how fast."""
    for warning in result.warnings:
        typer.echo(f"visavis: note: {warning}", err=True)
    width, height = result.size
    typer.echo(
        f"{result.path}: {result.seconds:.1f} s of video, {width}x{height} at {result.fps} fps, "
        f"made in {result.elapsed_s:.1f} s ({result.realtime_factor:.2g} x real time)",
        err=True,
    )


@app.command()
def inspect(
    portrait: Annotated[str, typer.Argument(metavar="PORTRAIT", help="A photograph.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--out", help="Where the picture goes. Default: NAME_inspected.png."),
    ] = None,
    face: FaceOption = None,
) -> None:
    """Show the faces, landmarks and pose found in PORTRAIT, and whether it is good (exit code)."""
    from visavis import api

    place = out or Path(f"{Path(portrait).stem}_inspected.png")
    report = api.inspect(portrait, place, face)
    typer.echo("\n".join(line.lstrip("+?! ") for line in report.lines))
    typer.echo(f"Picture: {place}")
    if not report.is_usable:
        raise typer.Exit(1)


@app.command()
def prepare(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEOS...", help="Videos of people talking, or folders of them."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The folder for the clips and report.json.")
    ],
    labels: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="JSON: whose videos these are, with what emotion.", show_default=False),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Make training clips of VIDEOS: motion and sound; a second run goes on where one stopped."""
    from visavis.data.prepare import prepare as make
    from visavis.data.report import table

    with _progress_bar(quiet) as progress:
        report = make(list(videos), out, labels, progress=progress)
    if not quiet:
        typer.echo(table(report))
    if not any(verdict.is_accepted for verdict in report.verdicts):
        raise InputError(f"Not one clip could be made; {out}/report.json says why.")


@app.command()
def convert(
    motion: Annotated[Path, typer.Argument(metavar="MOTION", help="A .csv, .json or .npz.")],
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help=".csv (Live Link Face), .json, .npz, .glb, or udp://HOST:PORT."
        ),
    ],
    portrait: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Whose face the .glb shows: a photograph.", show_default=False),
    ] = None,
    face: FaceOption = None,
    subject: Annotated[str, typer.Option(help="The name that Unreal shows.")] = "visavis",
    quiet: QuietOption = False,
) -> None:
    """Use the motion file MOTION elsewhere: Unreal, Blender, three.js."""
    from visavis.convert import convert as rewrite

    moves = rewrite(motion, out, portrait=portrait, face=face, subject=subject)
    if not quiet:
        typer.echo(f"{out}: {len(moves)} frames at {moves.fps} fps", err=True)
