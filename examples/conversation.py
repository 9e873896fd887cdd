"""A conversation without a browser: a recording plays the user, the result is a video of both.

``python examples/conversation.py USER.wav OUT.mp4 [--partner NAME] [--voice NAME]``

The recording is heard as a microphone would give it, in real time; the person listens, answers
when the user pauses and stops when interrupted. The video holds the person's picture and both
voices. Partners and voices are named as on the command line: ``echo``, ``scripted``,
``chat:MODEL@URL``, ``realtime:MODEL@URL``; the key of a server comes from ``VISAVIS_KEY``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np

from visavis.api import load
from visavis.dialogue.base import Dialogue, Happened
from visavis.dialogue.join import Chosen, converse, partner_by
from visavis.media.read import open_audio
from visavis.media.resample import resample
from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.provenance.policy import Policy
from visavis.serve.outputs.record import Recording, record
from visavis.stream.moments import Moment
from visavis.stream.session import Session
from visavis.stream.worker import Crew
from visavis.types import MOTION_FPS, SAMPLE_RATE, FloatArray
from visavis.voice.base import Voice
from visavis.voice.speech import voice_by

SLOT = SAMPLE_RATE // MOTION_FPS
LONGEST_S = 20.0
"""How long the last answer may take."""


async def both(session: Session, dialogue: Dialogue, user: FloatArray) -> AsyncIterator[Moment]:
    """Yield the session's moments with the sound of both, until all has been said."""
    silent, frame = 0, 0
    async for moment in session:
        heard = user[frame * SLOT : (frame + 1) * SLOT]
        heard = np.pad(heard, (0, SLOT - len(heard)))
        dialogue.hear(heard, SAMPLE_RATE)
        sound = moment.sound + resample(heard, SAMPLE_RATE, moment.rate)[: len(moment.sound)]
        yield replace(moment, sound=np.clip(sound, -1.0, 1.0))
        frame += 1
        silent = 0 if moment.speech_id or frame * SLOT < len(user) else silent + 1
        if silent > 2 * MOTION_FPS or frame * SLOT > len(user) + LONGEST_S * SAMPLE_RATE:
            return


async def talk(user: FloatArray, out: Path, partner: Chosen, voice: Voice | None) -> Recording:
    """Let ``user`` talk with ``partner`` and record it."""
    animator = load(live=True)
    prepared = animator.prepare(open_portrait(DEMO_PORTRAIT), (512, 512))
    crew = Crew()

    def tell(event: Happened) -> None:
        print(event.kind, event.text, sep="\t")

    async with (
        Session(animator, prepared, crew) as session,
        converse(session, partner, voice, tell) as dialogue,
        aclosing(both(session, dialogue, user)) as moments,
    ):
        recording = await record(moments, out, Policy())
    crew.close()
    return recording


def main() -> None:
    """Read the arguments and talk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("user", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--partner", default="scripted")
    parser.add_argument("--voice", default="local")
    asked = parser.parse_args()
    key = os.environ.get("VISAVIS_KEY")
    partner = partner_by(asked.partner, key)
    voice = None if partner.speaks_itself else voice_by(asked.voice, key)
    with open_audio(asked.user) as reader:
        user = np.concatenate(list(reader.chunks()))
    recording = asyncio.run(talk(user, asked.out, partner, voice))
    for warning in recording.warnings:
        print("note", warning, sep="\t")
    print(f"{recording.path}: {recording.frames / MOTION_FPS:.1f} s")


if __name__ == "__main__":
    main()
