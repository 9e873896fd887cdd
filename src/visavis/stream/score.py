"""What one session is about to show: which sound belongs to which frame, and what moves it.

Motion is made a little ahead of the frames that are handed out, chunk by chunk, and pictures ahead
of those by fewer still. When something changes (speech begins, an interruption, a control), what
has not been drawn is taken back: the motion model goes back to that frame and goes on from there.
Nothing here waits, reads a clock or knows of threads; jobs carry all they need.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from visavis.animator import LiveAnimator, Prepared
from visavis.errors import QueueFull
from visavis.motion.chunks import ChunkPlan
from visavis.motion.controls import Controls, Timeline, mixed
from visavis.stream.ear import SLOT, Ear, Hearing, Overheard
from visavis.stream.line import Line, Utterance
from visavis.stream.moments import Interrupted
from visavis.stream.phases import ATTENTIVE_S, Cue, after
from visavis.stream.policy import SILENT_FRAMES, Supply, chunk_frames, may_begin
from visavis.stream.presence import Listener, listened, present
from visavis.types import MOTION_FPS, SAMPLE_RATE, FloatArray, Motion, Phase

_RAMP_S = 0.32
"""Seconds that the numbers of a control take to change."""
_LINGER = 6
"""Frames of silence after speech before the face is at rest: more speech may follow."""
_MOST = 40  # frames made at once
_FADE_S = 0.015
"""Length of the fade that ends interrupted sound without a click."""


@dataclass(frozen=True)
class Planned:
    """Frame ``index``: its sound, its motion, and the animator's ``state`` after its chunk.

    ``speech_id`` names the utterance it is part of; ``line`` is what speaks, None in its pauses.
    """

    index: int
    sound: FloatArray
    speech_id: str | None
    line: Line | None
    phase: Phase
    motion: Motion | None
    state: Any

    @property
    def is_said(self) -> bool:
        """Whether speech is heard in it."""
        return self.line is not None


@dataclass(frozen=True)
class Move:
    """Motion to be made: ``frames`` frames from ``state`` on, for a thread to do.

    ``line`` is what they say, None: a pause or silence; ``current`` what was being spoken when the
    move was planned.
    """

    animator: LiveAnimator
    state: Any
    frames: int
    timeline: Timeline
    phase: Phase
    line: Line | None
    current: Line | None
    own: Hearing | None
    other: Hearing | None

    def run(self) -> tuple[Any, Motion]:
        """Hear what there is to be heard, and make the motion."""
        own, other = (None if x is None else x.run(self.animator) for x in (self.own, self.other))
        return self.animator.move(self.state, own, self.timeline, self.frames, other)


class Score:
    """The plan of one session; everything is called by one thread, moves are run by another."""

    def __init__(
        self,
        animator: LiveAnimator,
        prepared: Prepared,
        seed: int,
        sound_rate: int,
        plan: ChunkPlan,
        longest_queue_s: float,
    ) -> None:
        """Plan a session of ``animator`` with sound at ``sound_rate``, a multiple of the fps."""
        self._animator = animator
        self._seed = seed
        self._plan = plan
        self._sound_rate = sound_rate
        self._longest_queue_s = longest_queue_s
        self._state = self._shown_state = animator.start(prepared, seed)
        self.planned: deque[Planned] = deque()
        self.keep = 1
        self.next = 0
        self.made = 0
        self._numbers = count(1)
        self._waiting: deque[Utterance] = deque()
        self._open: Utterance | None = None
        self._line: Line | None = None
        self._ear: Ear | None = None
        self._line_start = 0
        self._chunk = 0
        self._dropped: list[Utterance] = []
        self._quiet_since = 0
        self._user = Overheard(animator)
        self._listener = Listener(seed)
        self.phase = Phase.IDLE
        self.forced: Phase | None = None
        self.controls = Controls(phase=Phase.IDLE)
        self._before = self.controls
        self._changed_at = 0

    # ---- sound comes in

    def push(self, samples: FloatArray, rate: int, speech_id: str | None) -> str:
        """Queue ``samples`` (n,) of an utterance, a new one if none is open; return its name."""
        if self.queue_s + len(samples) / rate > self._longest_queue_s:
            raise QueueFull(
                f"{self.queue_s:.1f} s of speech wait already, {self._longest_queue_s:g} s are "
                "possible. Push no faster than it is spoken, or interrupt first."
            )
        at = self._open
        if at is None or at.rate != rate or speech_id not in (None, at.speech_id):
            self.end()
            at = Utterance(speech_id or f"speech-{next(self._numbers)}", rate, self.next)
            self._open = at
            self._waiting.append(at)
        at.push(samples)
        return at.speech_id

    def end(self) -> None:
        """Complete the utterance that is being pushed."""
        if self._open is not None:
            self._open.is_ended = True
            self._open = None

    @property
    def speech(self) -> tuple[str, int] | None:
        """The utterance being spoken and its first frame."""
        return None if self._line is None else (self._line.utterance.speech_id, self._line_start)

    @property
    def queue_s(self) -> float:
        """Seconds of sound that wait to be heard."""
        return sum(u.seconds for u in self._waiting) + sum(x.left_s for x in self._lines())

    def overhear(self, samples: FloatArray, rate: int) -> None:
        """Take what the user says."""
        self._user.push(samples, rate)

    # ---- what changes the plan

    def cue(self, cue: Cue) -> None:
        """Let ``cue`` change the phase."""
        self._quiet_since = self.made
        self._enter(after(self.phase, cue))

    def force(self, phase: Phase | None) -> None:
        """Be in ``phase`` from now on whatever happens; None: by what happens again."""
        self.forced = phase
        self._take_back(self._earliest())

    def _enter(self, phase: Phase) -> None:
        if phase is not self.phase:
            self.phase = phase
            if phase is not Phase.SPEAKING and self.forced is None:
                self._take_back(self._earliest())

    def control(self, controls: Controls) -> None:
        """Ask for ``controls`` from the next frame that is not drawn on."""
        start = self._earliest()
        self._before = self._timeline(self.phase).at(start / MOTION_FPS)
        self.controls = controls
        self._changed_at = start
        self._take_back(start)

    def interrupt(self) -> Interrupted:
        """Drop all sound that has not been handed out, and all motion made for it."""
        self.end()
        lines = self._lines()
        self._dropped = [line.remainder(self._sound_rate) for line in lines] + list(self._waiting)
        self._waiting.clear()
        stopped = Interrupted(
            lines[0].utterance.speech_id if lines else None,
            lines[0].position_s if lines else 0.0,
            sum(u.seconds for u in self._dropped),
        )
        keep = self._fade_out()
        self._line = self._ear = None
        self._take_back(self.next + keep, is_cut=True)
        self.cue(Cue.INTERRUPTED)
        return stopped

    def _lines(self) -> list[Line]:
        """Return what is being spoken, in order: frames to be handed out may be of several."""
        lines = [p.line for p in self.planned] + [self._line]
        return list(dict.fromkeys(line for line in lines if line is not None))

    def resume(self) -> float:
        """Queue again what the last interruption dropped; return its seconds."""
        again, self._dropped = self._dropped, []
        for utterance in again:
            utterance.is_ended = True
        self._waiting.extendleft(reversed(again))
        return sum(u.seconds for u in again)

    def _fade_out(self) -> int:
        """Silence planned sound but for a short fade; return how many frames are kept to show."""
        if not self.planned:
            return 0
        first = self.planned[0]
        fade = min(len(first.sound), int(_FADE_S * self._sound_rate))
        sound = np.zeros_like(first.sound)
        sound[:fade] = first.sound[:fade] * np.linspace(1.0, 0.0, fade, dtype=np.float32)
        self.planned[0] = replace(first, sound=sound, speech_id=None, line=None)
        return 1

    def _earliest(self) -> int:
        """Return the first frame that can still become another one, ``keep`` after the next."""
        return min(self.made, self.next + self.keep)

    def _take_back(self, frame: int, *, is_cut: bool = False) -> None:
        """Let the motion go on from ``frame``, between the next one and the last one made."""
        ended = [p.index + 1 for p in self.planned if p.line not in (None, self._line)]
        frame = min(frame if is_cut else max(frame, *ended, 0), self.made)
        if frame == self.made or frame < self.next:
            return
        kept = frame - self.next
        base = self.planned[kept - 1].state if kept else self._shown_state
        while len(self.planned) > kept:
            self.planned.pop()
        self._state = self._animator.cut(base, frame)
        self._chunk = 0
        self.made = frame
        if self._line is not None:  # pauses that were planned are taken back, too
            said = self._line.said + sum(p.line is self._line for p in self.planned)
            self._line_start = frame - said

    # ---- motion is made

    def next_move(self, ahead: int, may_gap: bool = True) -> Move | None:
        """Return the motion to be made now, if any; pictures are drawn ``ahead`` frames ahead.

        ``may_gap``: speech whose sound does not come pauses; else it is waited for.
        """
        if self._line is None and self._waiting:
            self._begin(self._waiting[0])
        lead = self.made - self.next
        if self._line is not None:
            move = self._spoken(self._line, lead, ahead, may_gap)
            if move is not None or self._line is not None:
                return move
        if lead >= ahead:
            return None
        self._settle()
        return self._move(min(_MOST, SILENT_FRAMES + max(0, -lead)))

    def _begin(self, utterance: Utterance) -> None:
        """Speak ``utterance`` from the earliest frame on, if there is enough of it."""
        samples = int(utterance.seconds * SAMPLE_RATE)
        known = (samples - self._animator.look_ahead_samples) // SLOT
        supply = Supply(max(0, known), samples // SLOT, utterance.is_ended)
        if not may_begin(self._plan, supply, self.next - utterance.began_at):
            return
        self._waiting.popleft()
        spoken = [p.index + 1 for p in self.planned if p.speech_id is not None]
        self._take_back(max(self._earliest(), *spoken, 0))
        self._line, self._ear = Line(utterance, self._sound_rate), Ear(self._animator)
        self._line_start, self._chunk = max(self.made, self.next), 0
        self.phase = after(self.phase, Cue.AUDIO_STARTED)

    def _spoken(self, line: Line, lead: int, ahead: int, may_gap: bool) -> Move | None:
        """Return the next motion of speech; None: not now, or the utterance is over."""
        if lead >= ahead + 2:
            return None
        frame = self.made - self._line_start
        if frame < 0:  # late: silence up to where speech began
            return self._move(-frame)
        supply = line.supply(frame, self._animator.look_ahead_samples)
        if supply.is_whole and not supply.sounding:
            self._line = self._ear = None
            self._quiet_since = self.made
            return None
        is_due = may_gap and lead < 2
        frames = chunk_frames(self._plan, self._chunk, supply, is_due)
        if lead < 0 and frames:
            frames = min(_MOST, max(frames, 2 - lead), supply.sounding)
        if frames:
            return self._move(frames, line)
        if not is_due:
            return None
        return self._move(2)  # the sound does not come: a pause

    def _settle(self) -> None:
        """Let the phase follow from how long nothing has been said."""
        quiet = self.made - self._quiet_since
        if self.phase is Phase.SPEAKING and quiet >= _LINGER:
            self.phase = after(self.phase, Cue.AUDIO_ENDED)
        is_alone = not self._user.is_speaking and quiet >= ATTENTIVE_S * MOTION_FPS
        if self.phase is Phase.LISTENING and is_alone:
            self.phase = after(self.phase, Cue.RESTED)

    def _move(self, frames: int, line: Line | None = None) -> Move:
        """Return the motion of the next ``frames`` frames, of ``line`` or of silence."""
        needed = frames + self._plan.ahead
        own = None
        if line is not None and self._ear is not None:
            start = self.made - self._line_start
            wanted = (start + needed) * SLOT + self._animator.look_ahead_samples
            samples = line.heard(self._ear.heard, wanted)
            is_final = line.is_whole and self._ear.heard + len(samples) < wanted
            own = Hearing(self._ear, samples, is_final, start, start + needed)
        phase = Phase.SPEAKING if self._line is not None else self.forced or self.phase
        other = self._user.hearing(frames, needed)
        timeline = present(
            self._timeline(phase), self._seed, self._listener.gesture, self.made, needed
        )
        return Move(
            self._animator, self._state, frames, timeline, phase, line, self._line, own, other
        )

    def _timeline(self, phase: Phase) -> Timeline:
        """Return what the next frames are asked: new numbers are reached little by little."""
        new, start = replace(self.controls, phase=phase), self._changed_at / MOTION_FPS
        if self.made / MOTION_FPS >= start + _RAMP_S:
            return Timeline.steady(new)
        first = mixed(new, self._before, 1.0)
        if new.emotion != self._before.emotion:
            first = replace(first, intensity=0.0)
        return Timeline(((start, first), (start + _RAMP_S, new)))

    def accept(self, move: Move, state: Any, motion: Motion) -> bool:
        """Take motion that was made, unless it has been taken back; return whether it was."""
        if move.state is not self._state or move.current is not self._line:
            return False
        first, self._state = self.made, state
        self.made += move.frames
        for i in range(move.frames):
            index = first + i
            if index >= self.next:
                said = self._sound(move.line, index - self._line_start)
                self.planned.append(Planned(index, *said, move.phase, motion[i : i + 1], state))
                if said[2] is None and self._line is not None and index >= self._line_start:
                    self._line_start += 1  # a pause: what follows is later
            else:
                self._shown_state = state
        if heard := self._user.spoken_s(move.frames, move.other):
            is_listening = move.phase is Phase.LISTENING
            self._listener = listened(self._listener, *heard, self.made, is_listening)
        if move.line is not None:
            self._chunk += 1
            move.line.forget(0 if self._ear is None else self._ear.heard)
        return True

    def _sound(self, line: Line | None, frame: int) -> tuple[FloatArray, str | None, Line | None]:
        """Return what is heard in ``frame`` of ``line``, its name, and what speaks."""
        sound = None if line is None else line.sound(frame)
        if line is None or sound is None:
            silence = np.zeros(self._sound_rate // MOTION_FPS, np.float32)
            at = self._line
            return silence, at.utterance.speech_id if at is not None and at.said else None, None
        return sound, line.utterance.speech_id, line

    def take(self) -> Planned:
        """Hand out the next frame; without motion if none was made in time."""
        if self.planned and self.planned[0].index == self.next:
            frame = self.planned.popleft()
            self._shown_state = frame.state
        else:
            line = self._line if self.next >= self._line_start else None
            said = self._sound(line, self.next - self._line_start)
            if line is not None and said[2] is None:  # it did not come: what follows is later
                self._line_start += 1
            frame = Planned(self.next, *said, self.phase, None, None)
        if frame.line is not None:
            frame.line.said += 1
        self.next += 1
        return frame

    # ---- what the user says

    def user(self, is_speaking: bool) -> None:
        """The user begins, or has ended, to speak."""
        self._user.is_speaking = is_speaking
        self.cue(Cue.USER_STARTED if is_speaking else Cue.USER_ENDED)
