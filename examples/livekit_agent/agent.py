"""A LiveKit agent with a face, drawn in the agent's own process.

    python agent.py dev

Without an account it greets with a recording whenever somebody joins. With OPENAI_API_KEY and
livekit-plugins-openai it talks (OpenAI's Realtime model). ``VISAVIS_PORTRAIT`` names the picture.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import numpy as np
from livekit import agents, rtc
from livekit.agents import Agent, AgentSession, JobContext, JobProcess, WorkerOptions

from visavis.integrations.livekit import AvatarSession
from visavis.integrations.speaker import Face, open_face
from visavis.media.read import open_audio
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH
from visavis.types import SAMPLE_RATE

GREETING = "Hello."


def prewarm(process: JobProcess) -> None:
    """Open the face before the first job comes, so that joining takes no time."""
    portrait = os.environ.get("VISAVIS_PORTRAIT", str(DEMO_PORTRAIT))
    process.userdata["face"] = open_face(portrait, size=512)


async def recording(path: str = str(DEMO_SPEECH)) -> AsyncIterator[rtc.AudioFrame]:
    """Yield the sound of a file as an agent's speech."""
    with open_audio(path) as sound:
        for piece in sound.chunks(SAMPLE_RATE // 10):
            pcm = (np.clip(piece, -1, 1) * 32_767).astype(np.int16)
            yield rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, len(pcm))


def session_of(key: str | None) -> AgentSession:
    """Return an agent session: one that talks if there is a ``key``, else one that is told."""
    if key is None:
        return AgentSession()
    from livekit.plugins import openai

    return AgentSession(llm=openai.realtime.RealtimeModel(api_key=key))


async def meet(
    room: rtc.Room, face: Face, key: str | None = None
) -> tuple[AgentSession, AvatarSession]:
    """Give the agent its face, start it in ``room`` and greet."""
    session, avatar = session_of(key), AvatarSession(face)
    await avatar.start(session, room)
    await session.start(Agent(instructions="Be brief and kind."), room=room)
    if key is None:
        session.say(GREETING, audio=recording())
    else:
        session.generate_reply(instructions="Greet.")
    return session, avatar


async def entrypoint(job: JobContext) -> None:
    """Serve one room; LiveKit closes agent and avatar when the job ends."""
    await job.connect()
    await meet(job.room, job.proc.userdata["face"], os.environ.get("OPENAI_API_KEY"))


if __name__ == "__main__":
    agents.cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm))
