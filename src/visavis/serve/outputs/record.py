"""A session into an MP4 file while it goes on: whole or not at all, signed at the end.

The recording is complete when its moments end (close the feed). If its task is cancelled, the disk
is full or the process is stopped, nothing is left. Picture and sound are those that were shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from av.error import FFmpegError

from visavis.errors import OutputError
from visavis.media.kinds import shown
from visavis.media.place import output_error, whole_file
from visavis.provenance.policy import Policy
from visavis.provenance.sign import Facts, Seal, open_seal, tags
from visavis.serve.outputs.away import Away
from visavis.serve.outputs.mux import Encoding, LiveMuxer
from visavis.stream.moments import Moment
from visavis.types import MOTION_FPS


@dataclass(frozen=True)
class Recording:
    """A finished recording: ``frames`` pictures in ``path``; ``warnings`` are for people."""

    path: Path
    frames: int
    warnings: tuple[str, ...]


def encoding(policy: Policy, content_id: str) -> Encoding:
    """Return how a recording is encoded and labelled; ``content_id`` names the session."""
    video = {"preset": "superfast", "crf": "19"}
    options = {"movflags": "use_metadata_tags"}
    told = tags(policy, content_id)
    return Encoding("mp4", options, video, keyframe_every=4 * MOTION_FPS, tags=told)


async def record(
    moments: AsyncIterator[Moment],
    out: str | Path,
    policy: Policy,
    facts: Facts | None = None,
    content_id: str = "",
) -> Recording:
    """Write ``moments`` to the .mp4 file ``out`` until they end, and sign it as ``policy`` says.

    Raises:
        OutputError: ``out`` cannot be written, or there was no moment to record.
        InputError, MissingExtra: it cannot be signed as ``policy`` says.
    """
    if Path(out).suffix.lower() != ".mp4":
        raise OutputError(f"{shown(out)} is no place for a recording; give a name ending in .mp4.")
    away, tape = Away(), _Tape(out, encoding(policy, content_id))
    try:
        await away.run(tape.hold, facts or Facts(), policy)
        async for moment in moments:
            await away.run(tape.write, moment)
        return await away.run(tape.finish)
    finally:
        await away.last(tape.abandon)


class _Unfinished(Exception):  # noqa: N818 - unwinds what holds the place
    """The recording did not come to its end."""


class _Tape:
    """The file being written. Its methods block."""

    def __init__(self, out: str | Path, encoding: Encoding) -> None:
        """Write to ``out``, once ``hold`` has taken the place."""
        self._out = out
        self._encoding = encoding
        self._stack = ExitStack()
        self._file: Path | None = None
        self._seal: Seal | None = None
        self._muxer: LiveMuxer | None = None

    def hold(self, facts: Facts, policy: Policy) -> None:
        """Take the place, under a hidden name, and what signs."""
        self._seal = self._stack.enter_context(open_seal(self._out, facts, policy))
        self._file = self._stack.enter_context(whole_file(self._out))

    def write(self, moment: Moment) -> None:
        """Append ``moment``."""
        try:
            if self._muxer is None:
                self._muxer = LiveMuxer(str(self._file), self._encoding, moment)
            self._muxer.write(moment)
        except (FFmpegError, OSError) as error:
            raise output_error(self._out, error) from error

    def finish(self) -> Recording:
        """Complete, sign and place the file."""
        if self._muxer is None or self._seal is None or self._file is None:
            raise OutputError(f"{shown(self._out)} would hold no picture: nothing was shown.")
        try:
            self._muxer.finish()
        except (FFmpegError, OSError) as error:
            raise output_error(self._out, error) from error
        self._seal(self._file)
        self._stack.close()
        return Recording(Path(self._out), self._muxer.frames, self._seal.warnings)

    def abandon(self) -> None:
        """Remove what is not complete; nothing happens to a finished recording."""
        if self._muxer is not None:
            self._muxer.abandon()
        with suppress(_Unfinished), self._stack:
            raise _Unfinished
