"""What a living face does besides articulating: blinks, glances, breath, brows, the head.

Everything is a function of the seed, the frame index and a small state. Numbers come from real
takes (benchmarks/lips.py prints ours): blinks close in about 80 ms and open in 160 ms, their
intervals are log-normal (Bentivoglio et al. 1997); gaze makes quick steps and rests; the head
drifts slowly about its rest and nods with accents (Munhall et al. 2004).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from visavis.motion.noise import curve, normal, uniform, wander
from visavis.types import ARKIT_NAMES, FloatArray, Phase

NAME = {name: i for i, name in enumerate(ARKIT_NAMES)}
EYE_RANGE_DEG = 35.0
"""Turn of the eye at an eyeLook coefficient of 1, from Live Link Face takes (0.61 rad)."""

_BLINK, _DOUBLE, _GAZE, _HEAD, _FACE, _BREATH = 1000, 1100, 1200, 20, 30, 1300

BLINKS_PER_MIN = {Phase.SPEAKING: 17.0, Phase.LISTENING: 13.0, Phase.IDLE: 12.0}
MEDIAN_WAIT = 0.92
"""The median interval between blinks, in units of the mean one."""
DOUBLE_BLINK_S = 0.36
BREATH_Y, BREATH_DEG = 0.009, 0.15
"""How far a breath moves the head: down, in pupil distances, and in pitch."""
_SWAY = ((0.3, 1.0), (1.0, 0.8), (2.2, 0.42), (4.5, 0.12))
"""Bands of the head's wandering: upper frequency and share, as tracked in real talking clips."""

_HEAD_DEG = {
    Phase.SPEAKING: np.array([1.50, 2.10, 1.15]),
    Phase.LISTENING: np.array([0.70, 1.10, 0.60]),
    Phase.IDLE: np.array([0.60, 1.10, 0.55]),
}
_SLOW_IN_PAUSES = 0.6
_QUICK_AT_REST = 0.2
_SETTLING_S = 0.6
"""The first frame has the head as in the portrait; it starts to wander over this time."""


@dataclass(frozen=True)
class Prosody:
    """The sound's part in a frame: ``speech`` 0..1, ``stress`` 0..1."""

    speech: float
    stress: float


@dataclass(frozen=True)
class AmbientState:
    """Clocks of blink and gaze in frames, slow followers of the speech, two small springs."""

    blink_at: float
    gaze_at: float
    blinks: int = 0
    gazes: int = 0
    gaze_from: tuple[float, float] = (0.0, 0.0)
    gaze_to: tuple[float, float] = (0.0, 0.0)
    gaze_start: float = -100.0
    activity: float = 0.0
    nod: tuple[float, float] = (0.0, 0.0)
    brow: tuple[float, float] = (0.0, 0.0)
    was_speaking: bool = False


def start(seed: int, fps: int) -> AmbientState:
    """Return the state of a fresh session; first blink and glance come within seconds."""
    return AmbientState(
        blink_at=(0.8 + 2.5 * uniform(seed, _BLINK, -1)) * fps,
        gaze_at=(0.5 + 1.5 * uniform(seed, _GAZE, -1)) * fps,
    )


def lid(age_s: float, scale: float) -> float:
    """Return how far the lid is closed ``age_s`` seconds after a blink began."""
    down, hold, up = 0.085 * scale, 0.015 * scale, 0.19 * scale
    if age_s < down:
        t = max(0.0, age_s / down)
        return t * t * (3 - 2 * t)
    t = min(1.0, max(0.0, (age_s - down - hold) / up))
    return (1.0 - t) ** 2 * (1 + 2 * t)


def _spring(
    value: tuple[float, float], target: float, hertz: float, fps: int
) -> tuple[float, float]:
    """Return position and speed of a critically damped spring one frame on (exact solution)."""
    w, dt = 2 * np.pi * hertz, 1.0 / fps
    gap, speed = value[0] - target, value[1]
    decay = float(np.exp(-w * dt))
    drive = speed + w * gap
    return target + (gap + drive * dt) * decay, (speed - w * drive * dt) * decay


def blink_wait(seed: int, count: int) -> float:
    """Return the wait for the next blink in medians: log-normal; 0 for a double blink."""
    if uniform(seed, _DOUBLE, count) < 0.07:
        return 0.0
    return float(np.exp(0.5 * normal(seed, _BLINK, count)))


def _next_blink(seed: int, count: int, phase: Phase, fps: int) -> float:
    """Return the frames from one blink to the next."""
    wait = blink_wait(seed, count)
    if wait == 0.0:
        return DOUBLE_BLINK_S * fps
    median_s = 60.0 / BLINKS_PER_MIN[phase] * MEDIAN_WAIT
    return float(np.clip(median_s * wait, 0.9, 11.0)) * fps


def _blinks(
    state: AmbientState, seed: int, frame: int, cue: bool, phase: Phase, fps: int
) -> AmbientState:
    """Start a blink when it is due, or early when a pause or a glance invites one."""
    until = state.blink_at - frame
    early = cue and 0 < until < 2.2 * fps and uniform(seed, _DOUBLE + 1, frame) < 0.5
    if until > -0.4 * fps and not early:
        return state
    if early:
        return replace(state, blink_at=float(frame))
    wait = _next_blink(seed, state.blinks, phase, fps)
    return replace(state, blink_at=state.blink_at + max(wait, 0.42 * fps), blinks=state.blinks + 1)


def _glance(state: AmbientState, seed: int, frame: int, phase: Phase, fps: int) -> AmbientState:
    """Move the gaze when its rest is over: mostly tiny, sometimes away, then back to the viewer."""
    if frame < state.gaze_at:
        return state
    n = state.gazes
    away = uniform(seed, _GAZE, n)
    is_back = abs(state.gaze_to[0]) + abs(state.gaze_to[1]) > 4.0
    reach = 0.9 if is_back or away < 0.86 else (5.0 if phase is Phase.SPEAKING else 4.0)
    yaw = reach * normal(seed, _GAZE + 1, n)
    pitch = 0.6 * reach * normal(seed, _GAZE + 2, n)
    rest_s = np.exp(0.55 * normal(seed, _GAZE + 3, n)) * (0.75 if reach > 2 else 1.25)
    return replace(
        state,
        gaze_from=state.gaze_to,
        gaze_to=(float(np.clip(yaw, -10, 10)), float(np.clip(pitch, -7, 5))),
        gaze_start=state.gaze_at,
        gaze_at=state.gaze_at + float(np.clip(rest_s, 0.25, 4.0)) * fps,
        gazes=n + 1,
    )


def _gaze(state: AmbientState, frame: int, fps: int) -> FloatArray:
    """Return yaw and pitch of the eyes in degrees: a step of 30-60 ms, longer for wider ones."""
    start, end = np.array(state.gaze_from), np.array(state.gaze_to)
    span_s = 0.025 + 0.0025 * float(np.abs(end - start).max())
    t = float(np.clip((frame - state.gaze_start) / fps / span_s, 0.0, 1.0))
    return np.asarray(start + (end - start) * t * t * (3 - 2 * t), np.float32)


def step(
    state: AmbientState, seed: int, frame: int, prosody: Prosody, phase: Phase, fps: int
) -> tuple[AmbientState, FloatArray, FloatArray, FloatArray]:
    """Return the state, coefficients (52,), rotation (3,) degrees and translation (2,)."""
    seconds = frame / fps
    speaking = prosody.speech > 0.5
    ended = state.was_speaking and not speaking
    before = state.gaze_to
    state = _glance(state, seed, frame, phase, fps)
    moved = abs(state.gaze_to[0] - before[0]) + abs(state.gaze_to[1] - before[1]) > 5.0
    state = _blinks(state, seed, frame, ended or moved, phase, fps)
    rate = 1.0 / (0.35 * fps)
    state = replace(
        state,
        activity=state.activity + rate * (prosody.speech - state.activity),
        nod=_spring(state.nod, prosody.stress, 1.6, fps),
        brow=_spring(state.brow, prosody.stress, 2.2, fps),
        was_speaking=speaking,
    )
    rotation = _head(state, seed, seconds, phase)
    coefficients = _face(state, seed, seconds)
    look(coefficients, state, seed, frame, rotation, fps)
    rise = breath(seed, seconds)
    translation = np.array([0.010 * curve(seed, _HEAD + 9, seconds, 0.12), BREATH_Y * rise])
    return state, coefficients, rotation, translation.astype(np.float32)


def breath(seed: int, seconds: float) -> float:
    """Return the breath, -1..1 at about 0.25 Hz with an uneven rhythm."""
    phase = 2 * np.pi * (0.25 * seconds + uniform(seed, _BREATH, 0))
    phase += 0.8 * curve(seed, _BREATH + 1, seconds, 0.05)
    return float(np.sin(phase + 0.35 * np.sin(phase)))


def _head(state: AmbientState, seed: int, seconds: float, phase: Phase) -> FloatArray:
    """Return pitch, yaw, roll in degrees: slow wandering, faster while speaking, accent nods."""
    slow, quick = 1.0, _QUICK_AT_REST
    if phase is Phase.SPEAKING:
        slow = _SLOW_IN_PAUSES + (1.0 - _SLOW_IN_PAUSES) * state.activity
        quick += (1.0 - quick) * state.activity
    sway = np.zeros(3)
    for k, (hertz, size) in enumerate(_SWAY):
        part = [curve(seed, _HEAD + 10 * i + k, seconds, hertz) for i in range(3)]
        sway += np.array(part) * size * (slow if k == 0 else quick)
    sway *= _HEAD_DEG[phase] * (1.0 - np.exp(-seconds / _SETTLING_S))
    sway[0] += -2.2 * state.nod[0] + BREATH_DEG * breath(seed, seconds)
    sway[2] += 0.25 * sway[1] * curve(seed, _HEAD + 50, seconds, 0.1)
    return np.asarray(np.clip(sway, -9.0, 9.0), np.float32)


def _face(state: AmbientState, seed: int, seconds: float) -> FloatArray:
    """Return brows and a trace of a smile (52,)."""
    out = np.zeros(len(ARKIT_NAMES), np.float32)
    drift = wander(seed + _FACE, 3, seconds, 0.06)
    raised = max(0.0, 0.30 * state.brow[0] + 0.03 * float(drift[0]))
    out[NAME["browInnerUp"]] = raised
    out[NAME["browOuterUpLeft"]] = raised * (0.50 + 0.08 * float(drift[1]))
    out[NAME["browOuterUpRight"]] = raised * (0.50 - 0.08 * float(drift[1]))
    smile = 0.035 + 0.015 * float(np.tanh(drift[2]))
    for side, lean in (
        ("Left", 1.0 + 0.1 * float(drift[1])),
        ("Right", 1.0 - 0.1 * float(drift[1])),
    ):
        out[NAME["mouthSmile" + side]] = smile * lean
        out[NAME["cheekSquint" + side]] = 0.5 * smile
    return np.clip(out, 0.0, 1.0)


def look(
    out: FloatArray, state: AmbientState, seed: int, frame: int, rotation: FloatArray, fps: int
) -> None:
    """Write gaze, lids and blink into ``out``; the eyes make up for the turn of the head."""
    yaw, pitch = _gaze(state, frame, fps) - 0.9 * rotation[[1, 0]]
    right, up = yaw / EYE_RANGE_DEG, pitch / EYE_RANGE_DEG
    # The viewer's right is the person's left: the left eye turns out, the right eye in.
    for side, inward in (("Left", -right), ("Right", right)):
        out[NAME["eyeLookIn" + side]] = max(0.0, inward)
        out[NAME["eyeLookOut" + side]] = max(0.0, -inward)
        out[NAME["eyeLookUp" + side]] = max(0.0, up)
        out[NAME["eyeLookDown" + side]] = max(0.0, -up)
    scale = 0.9 + 0.25 * uniform(seed, _BLINK + 50, state.blinks)
    shut = lid((frame - state.blink_at) / fps, scale) if frame >= state.blink_at else 0.0
    lowered = 0.6 * max(0.0, -up)
    for side, share in (("Left", 1.0), ("Right", 0.97)):
        out[NAME["eyeBlink" + side]] = min(1.0, max(lowered, share * shut))
        out[NAME["eyeWide" + side]] = 0.25 * max(0.0, up) * (1.0 - shut)
        out[NAME["eyeSquint" + side]] = 0.10 * shut
