"""The options of ``visavis animate``, what their words mean, and one decorator that gives a command
those of the controls.

A control's option takes the words that a file of controls takes (motion/keyframes.py).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from visavis.errors import InputError

if TYPE_CHECKING:
    from visavis.motion.controls import Timeline
    from visavis.playing import Drive

PortraitArgument = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates the annotation on Python 3.10
    typer.Argument(metavar="PORTRAIT", help="A photograph, or a video.", show_default=False),
]
AudioArgument = Annotated[
    Optional[str],  # noqa: UP045
    typer.Argument(metavar="AUDIO", help="A recording or video.", show_default=False),
]
OutOption = Annotated[
    str,
    typer.Option("-o", "--out", help="OUT.mp4, .webm, .gif, a folder/ for PNGs, or - for raw."),
]
SizeOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="Pixels: side of the square (512), or longest side with --full-frame."),
]
FpsOption = Annotated[int, typer.Option(help="Frames per second.")]
SeedOption = Annotated[int, typer.Option(help="Another seed, other blinks and head motion.")]
CropOption = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option(
        "--crop/--full-frame",
        help="Head and shoulders (photographs), or the whole picture (videos).",
        show_default=False,
    ),
]
LoopOption = Annotated[
    str, typer.Option(help="A video that is over before the sound: pingpong, repeat or hold.")
]
RedriveOption = Annotated[
    str, typer.Option(help="What of a video is moved anew: mouth, or face (brows and cheeks too).")
]
TrimOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="START:END of the recording in seconds.", show_default=False),
]
FaceOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="Which face, counted from 1, left to right."),
]
MotionOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Play this motion file (.csv, .json, .npz) instead of speech."),
]
DriveOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="A video of somebody whose head and face to follow.", show_default=False),
]
DriveHowOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="NAME=X,…",
        help="How: region=lip (all, exp, pose, eyes), multiplier=1.2; with a model also "
        "relative=no, smoothing=5, eyes, lips, close_lips, stitching.",
        show_default=False,
    ),
]
MotionOutOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Also write the motion: .csv (Live Link Face), .json or .npz."),
]
ListenOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="What the other person says meanwhile: a recording to listen to."),
]
ModelOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="diffused (learnt) or rules; with Ditto's networks ditto, ditto_published."),
]
NeuralOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Other networks: latent-tiny, ditto, liveportrait or a folder (visavis models)."
    ),
]
StepsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(help="Calls of the learnt motion model: 1 (default), 2 or 4; Ditto's: 1 to 50."),
]
BackgroundOption = Annotated[
    str,
    typer.Option(help="photo, blur, green, #RRGGBB, a picture file, or transparent (.webm, .mov)."),
]
QualityOption = Annotated[
    str, typer.Option(help="draft, standard or high: how mouth and eyes are painted.")
]
TextOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="What to say instead of a recording.", show_default=False),
]
VoiceOption = Annotated[
    str, typer.Option(help="Who says --text: local, or openai:MODEL[:VOICE]@URL of a server.")
]
BadgeOption = Annotated[bool, typer.Option("--badge", help="Write AI-generated on the picture.")]
DemoOption = Annotated[bool, typer.Option("--demo", help="Use the embedded portrait and voice.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]

_CONTROLS: dict[str, tuple[str, str]] = {
    "phase": ("NAME", "speaking, listening or idle."),
    "emotion": (
        "NAME",
        "neutral, angry, contempt, disgusted, fear, happy, sad or surprised; 0.7 strong unless "
        "--intensity is given.",
    ),
    "intensity": ("0..1", "How strong the emotion is."),
    "gaze": ("WHERE", "viewer, away, free, or YAW,PITCH in degrees: + your right, + up."),
    "blink-rate": ("N", "Blinks per minute, 0 to 60, or natural."),
    "head": ("P,Y,R", "Pitch, yaw, roll it tends to, degrees: + up, your right, clockwise."),
    "head-range": ("0..2", "How far the head moves of itself, 1 as usual."),
    "energy": ("0.5..1.5", "How lively, 1 as usual."),
    "gain": ("NAME=X", "Factor for a coefficient, such as jawOpen=1.2. Repeatable."),
    "offset": ("NAME=X", "Shift of a coefficient, such as browInnerUp=0.2. Repeatable."),
    "hold": ("NAME=X", "Value a coefficient is held at; the rest goes with it. Repeatable."),
    "freeze": ("REGION", "brows, lids, gaze, mouth or head held at rest. Repeatable."),
}
_REPEATABLE = ("gain", "offset", "hold", "freeze")


def with_controls(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with an option for each control, handed on as ``controls``.

    ``command`` has a keyword ``controls``: a mapping from the names of the fields given, as in
    motion/keyframes.py, to their words; ``--controls FILE`` stands there as ``file``.
    """
    own = inspect.signature(command, eval_str=True)
    kept = [p for p in own.parameters.values() if p.name != "controls"]
    kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in kept]
    added = [_parameter(name, *words) for name, words in _CONTROLS.items()]
    added.append(_parameter("controls", "FILE", "Keyframes over time: .json or .csv."))

    @wraps(command)
    def wrapped(**given: Any) -> None:
        words = {p.name: given.pop(p.name) for p in added}
        words["file"] = words.pop("controls")
        command(**given, controls={k: v for k, v in words.items() if v})

    parameters = [*kept, *added]
    wrapped.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapped


def trim_of(text: str | None) -> tuple[float, float | None] | None:
    """Return START:END in seconds as two numbers; either may be left out.

    Raises:
        InputError: not two numbers with a colon between them.
    """
    if text is None:
        return None
    start, colon, end = text.partition(":")
    try:
        if not colon:
            raise ValueError(text)
        return float(start or 0), float(end) if end else None
    except ValueError as error:
        raise InputError(
            f"--trim {text!r} is not START:END in seconds; write for example --trim 1.5:8 or :8."
        ) from error


def drive_of(video: str | None, how: str | None) -> Drive | None:
    """Return the driving video, and how it is followed: NAME=X, split by commas.

    Raises:
        InputError: no such option, no such value for it, or nothing to follow.
    """
    from visavis.playing import Drive
    from visavis.render.liveportrait.transfer import DrivingOptions

    if video is None and how is not None:
        raise InputError("--drive-how tells how a video is followed; give it too: --drive VIDEO.")
    if video is None:
        return None
    known = {f.name: f.default for f in fields(DrivingOptions)}
    chosen: dict[str, Any] = {}
    for word in filter(None, (how or "").split(",")):
        name, _, value = word.strip().partition("=")
        if name not in known:
            raise InputError(f"--drive-how knows no {name!r}. Give: {', '.join(known)}.")
        chosen[name] = _value(name, value, known[name])
    return Drive(Path(video), DrivingOptions(**chosen))


def _value(name: str, text: str, default: Any) -> Any:
    """Return ``text`` as something of the kind of ``default``."""
    try:
        if isinstance(default, bool):
            return {"": True, "yes": True, "no": False}[text]
        return type(default)(text)
    except (KeyError, ValueError) as error:
        kinds = {bool: "yes or no", int: "a whole number", float: "a number"}
        wanted = kinds.get(type(default), "a word")
        raise InputError(f"--drive-how {name}={text} is not {wanted}.") from error


def timeline_of(file: Path | None = None, **words: Any) -> Timeline:
    """Return the controls given as options, and over them those of ``file``."""
    from visavis.motion.controls import Controls, Timeline
    from visavis.motion.keyframes import changed, read_timeline

    steady = changed(Controls(), words)
    return Timeline.steady(steady) if file is None else read_timeline(file, steady)


def _parameter(name: str, metavar: str, text: str) -> inspect.Parameter:
    """Return the option ``--name`` of the panel of controls."""
    option = typer.Option(
        f"--{name}", metavar=metavar, help=text, show_default=False, rich_help_panel="Controls"
    )
    kind: Any = Optional[list[str]] if name in _REPEATABLE else Optional[str]  # noqa: UP045
    return inspect.Parameter(
        name.replace("-", "_"),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind, option],
    )
