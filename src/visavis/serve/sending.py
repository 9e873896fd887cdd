"""Where else a session goes: a file, a media server, a camera of this machine; one task each.

A client can ask for no more than the operator allows: files get names made here, in the operator's
folder, and what is pushed goes to addresses that begin as the operator said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.errors import InputError, SessionError, VisavisError
from visavis.provenance.policy import Policy
from visavis.serve.feeds import Feed
from visavis.serve.keys import new_id
from visavis.serve.live import LiveSession
from visavis.serve.messages import problem
from visavis.serve.settings import ServerSettings
from visavis.stream.moments import Moment

_LOG = logging.getLogger(__name__)

RECORD, CAMERA = "record", "camera"
RTMP, WHIP = ("rtmp://", "rtmps://"), ("whip://", "whips://")
_WAITING = 25
_MOST = 4


class NotAllowed(SessionError):  # noqa: N818 - reads as what happened
    """The operator has not allowed that output."""


@dataclass(frozen=True)
class Output:
    """One output at work: ``kind`` "record", "camera", "rtmp" or "whip"."""

    output_id: str
    kind: str
    feed: Feed[Moment]
    task: asyncio.Task[Any]


def _is_within(address: str, place: str) -> bool:
    """Return whether ``address`` is ``place`` or lies below it: ``place``.evil does not."""
    return address == place or address.startswith(place.rstrip("/") + "/")


class Sending:
    """The outputs of all sessions."""

    def __init__(self, settings: ServerSettings, policy: Policy) -> None:
        """Allow what ``settings`` allow; recordings are signed as ``policy`` says."""
        self._settings = settings
        self._policy = policy
        self._outputs: dict[str, dict[str, Output]] = {}

    def of(self, live: LiveSession) -> list[Output]:
        """Return the outputs of ``live`` that are at work."""
        return list(self._outputs.get(live.session_id, {}).values())

    def start_usual(self, live: LiveSession) -> None:
        """Start what the operator wants of every session."""
        for name in self._settings.outputs:
            self._start(live, name, "")

    def start(self, live: LiveSession, name: str, token: str = "") -> Output:
        """Start output ``name``, "record" or the address of a media server, for a client.

        Raises:
            NotAllowed: the operator has not allowed it. InputError: there is no such output.
        """
        is_push = name.startswith((*RTMP, *WHIP))
        allowed = is_push and any(_is_within(name, place) for place in self._settings.push_to)
        if name == CAMERA or (is_push and not allowed):
            raise NotAllowed("This server does not send there; see its setting `push_to`.")
        if len(self.of(live)) >= _MOST:
            raise NotAllowed(f"{_MOST} outputs are at work already; stop one.")
        return self._start(live, name, token)

    def stop(self, live: LiveSession, output_id: str) -> bool:
        """Let output ``output_id`` finish; False if there is none."""
        output = self._outputs.get(live.session_id, {}).get(output_id)
        if output is not None:
            output.feed.close()
        return output is not None

    def _start(self, live: LiveSession, name: str, token: str) -> Output:
        """Start output ``name`` of ``live``."""
        feed = live.subscribe(_WAITING)
        try:
            kind, work = self._work(live, feed, name, token)
        except VisavisError:
            feed.close()
            raise
        task = asyncio.create_task(work, name=f"{kind} {live.session_id}")
        output = Output(new_id(), kind, feed, task)
        self._outputs.setdefault(live.session_id, {})[output.output_id] = output
        task.add_done_callback(lambda _: self._over(live, output))
        return output

    def _work(
        self, live: LiveSession, feed: Feed[Moment], name: str, token: str
    ) -> tuple[str, Coroutine[Any, Any, Any]]:
        """Return the kind of output ``name``, and what does it."""
        bitrate = self._settings.bitrate
        if name == RECORD:
            from visavis.serve.outputs.record import record

            if self._settings.recordings is None:
                raise NotAllowed("This server records nothing; see its setting `recordings`.")
            content = new_id()
            out = Path(self._settings.recordings) / f"{content}.mp4"
            return RECORD, record(feed, out, self._policy, live.terms.facts, content)
        if name == CAMERA:
            from visavis.serve.outputs.camera import show

            return CAMERA, show(feed)
        if name.startswith(RTMP):
            from visavis.serve.outputs.push import place_of, push_rtmp

            place_of(name)
            return "rtmp", push_rtmp(feed, name, bitrate)
        if name.startswith(WHIP):
            from visavis.serve.outputs.whip import Endpoint, push_whip

            servers = self._settings.ice_servers
            return "whip", push_whip(feed, Endpoint(name, token, servers))
        raise InputError("There is no such output. Give record, or rtmp://… or whip://… to push.")

    def _over(self, live: LiveSession, output: Output) -> None:
        """Forget ``output``; tell who listens why it failed, if it did."""
        output.feed.close()
        mine = self._outputs.get(live.session_id, {})
        mine.pop(output.output_id, None)
        if not mine:
            self._outputs.pop(live.session_id, None)
        if output.task.cancelled() or (error := output.task.exception()) is None:
            return
        is_ours = isinstance(error, VisavisError)
        _LOG.warning(
            "an output failed", exc_info=None if is_ours else error, extra={"reason": output.kind}
        )
        why = str(error) if is_ours and output.kind != RECORD else "It could not be finished."
        live.tell(problem("output_failed", f"{output.kind}: {why}", output.output_id))

    async def close(self) -> None:
        """Wait until everything is finished: the sessions have ended."""
        tasks = [one.task for mine in self._outputs.values() for one in mine.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=10)
