"""A face to talk with in the browser, by FastRTC and Gradio: it says back what you say.

    python app.py [PORTRAIT] [--partner PARTNER] [--size PIXELS] [--port PORT]

The partner is named as for `visavis serve`: "echo" needs no account, "none" only speaks the
recordings you give it, "realtime:MODEL@URL" is a server that speaks OpenAI's Realtime dialect.
"""

from __future__ import annotations

import argparse
import os

import gradio as gr
from aiortc.codecs import h264, vpx
from fastrtc import Stream

from visavis.dialogue.join import converse, partner_by
from visavis.integrations.fastrtc import VisavisHandler
from visavis.integrations.speaker import open_face
from visavis.opening import DEMO_PORTRAIT

BITRATE = 2_500_000
"""Bits per second of the picture; aiortc's own 500 kbit/s make a face soft."""


def stream_of(portrait: str, partner: str = "echo", size: int = 512, callers: int = 2) -> Stream:
    """Return a stream that shows ``portrait`` to at most ``callers`` at a time."""
    for codec in (h264, vpx):
        codec.DEFAULT_BITRATE, codec.MAX_BITRATE = BITRATE, 2 * BITRATE
    chosen = partner_by(partner, os.environ.get("OPENAI_API_KEY"))
    handler = VisavisHandler(open_face(portrait, size), lambda session: converse(session, chosen))
    stream = Stream(
        handler,
        modality="audio-video",
        mode="send-receive",
        concurrency_limit=callers,
        additional_inputs=[gr.Audio(label="Or let it say this recording")],
        server_rtc_configuration={"iceServers": []},  # name a TURN server to be reached from afar
        ui_args={
            "title": "Visavis",
            "subtitle": "Press Record, allow the microphone, say something, wait.",
            "full_screen": False,
        },
    )
    with stream.ui:  # FastRTC's page mirrors what it shows, as if it were the caller's own camera
        gr.HTML("<style>video.flip {transform: none !important}</style>")
    return stream


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("portrait", nargs="?", default=str(DEMO_PORTRAIT))
    parser.add_argument("--partner", default="echo")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--port", type=int, default=7860)
    given = parser.parse_args()
    stream = stream_of(given.portrait, given.partner, given.size)
    stream.ui.launch(server_name="127.0.0.1", server_port=given.port)
