"""The commands, each a short call into the library: what people and scripts type.

Everything for people goes to the standard error stream or to the terminal; a command's data (raw
frames, the JSON line that ends ``bench`` and ``evaluate``) goes to the standard output.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer

from visavis.errors import InputError, VisavisError
from visavis.options import (
    AudioArgument,
    BackgroundOption,
    CropOption,
    DemoOption,
    FaceOption,
    FpsOption,
    ListenOption,
    LoopOption,
    ModelOption,
    MotionOption,
    MotionOutOption,
    OutOption,
    PortraitArgument,
    QualityOption,
    QuietOption,
    RedriveOption,
    SeedOption,
    SizeOption,
    StepsOption,
    TrimOption,
    timeline_of,
    trim_of,
    with_controls,
)

if TYPE_CHECKING:
    from visavis.api import Result, Tick

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
    motion_out: MotionOutOption = None,
    listen_to: ListenOption = None,
    motion_model: ModelOption = None,
    steps: StepsOption = 1,
    background: BackgroundOption = "photo",
    quality: QualityOption = "standard",
    demo: DemoOption = False,
    quiet: QuietOption = False,
    *,
    controls: dict[str, Any],
) -> None:
    """Make a video of PORTRAIT speaking AUDIO."""
    from visavis import api

    if demo and portrait is not None:
        raise InputError("--demo brings its own portrait and voice; leave PORTRAIT and AUDIO out.")
    if demo:
        portrait, audio = str(api.DEMO_PORTRAIT), str(api.DEMO_SPEECH)
    if portrait is None or (audio is None and motion is None and listen_to is None):
        raise InputError(
            "animate needs a portrait and a recording: visavis animate PORTRAIT AUDIO -o OUT.mp4 "
            "(or --demo, or --motion FILE instead of a recording)."
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
            motion_out=motion_out,
            other=listen_to,
            controls=timeline_of(**controls),
            motion_model=motion_model,
            steps=steps,
            loop=loop,
            redrive=redrive,
            background=background,
            quality=quality,
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
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON only.")] = False,
) -> None:
    """Tell what this machine can run."""
    from visavis.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([finding.__dict__ for finding in findings]))
    for finding in findings if not as_json else []:
        typer.echo(f"{'ok  ' if finding.is_ok else 'FAIL'}  {finding.subject}: {finding.text}")
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def bench(
    size: Annotated[int, typer.Option(help="Side of the square picture in pixels.")] = 512,
    quality: QualityOption = "standard",
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 25,
    seconds: Annotated[int, typer.Option(help="Seconds of sound for the throughput.")] = 20,
    starts: Annotated[int, typer.Option(help="Live starts for the first-frame delay.")] = 20,
    soak: Annotated[int, typer.Option(help="Also run this many minutes and watch memory.")] = 0,
) -> None:
    """Measure the whole path, sound in to encoded frame out; the last line is JSON."""
    from visavis.bench import measure, table

    figures = measure(
        size=size, quality=quality, fps=fps, seconds=seconds, starts=starts, soak_minutes=soak
    )
    typer.echo(table(figures))
    typer.echo(json.dumps(figures))


@app.command()
def evaluate(
    video: Annotated[str, typer.Argument(help="A video of one talking head, ours or any other.")],
    audio: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Its sound, if that is not in the video.", show_default=False),
    ] = None,
    portrait: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The photograph, for identity and sharpness.", show_default=False),
    ] = None,
    phones: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="What is said: JSON, a list of start_s, end_s, ARPAbet. Default: our ear."
        ),
    ] = None,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write a page with curves and frames: a folder or FILE.html."),
    ] = None,
) -> None:
    """Measure lip sync, stillness, motion and picture of VIDEO; the last line is JSON."""
    from visavis.eval.evaluate import evaluate as measure
    from visavis.eval.report import table, write_report

    result = measure(video, audio, portrait, phones)
    typer.echo(table(result.figures))
    for note in result.notes:
        typer.echo(f"visavis: note: {note}", err=True)
    if report is not None:
        typer.echo(f"report: {write_report(report, video, result)}")
    typer.echo(json.dumps(result.figures))


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="What to train; see TRAINING.md.")],
) -> None:
    """Train a network: visavis train TASK --data … --out …; TASK --help lists the options."""
    import runpy

    from visavis.train import tasks

    known = sorted(p.stem for p in Path(tasks.__path__[0]).glob("[a-z]*.py"))
    if task not in known:
        raise InputError(f"There is no task {task!r}. Give one of: {', '.join(known)}.")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError('Training needs PyTorch: pip install "visavis[train]".') from error
    sys.argv = [f"visavis train {task}", *context.args]
    runpy.run_module(f"visavis.train.tasks.{task}", run_name="__main__")


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
