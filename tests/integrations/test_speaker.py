from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from visavis.errors import InputError, SessionClosed
from visavis.integrations.speaker import CUSHION, Beat, Face, Speaker, open_face
from visavis.stream.settings import Settings

RATE = 16_000
SLOT = RATE // 25
FAST = Settings(sound_rate=RATE, is_paced=False)
LIVE = Settings(sound_rate=RATE)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def take(speaker: Speaker, count: int) -> list[Beat]:
    beats: list[Beat] = []
    async for beat in speaker.beats():
        beats.append(beat)
        if len(beats) == count:
            break
    return beats


def floats(pcm: np.ndarray) -> np.ndarray:
    return (pcm / 32768).astype(np.float32)


def joined(beats: list[Beat]) -> np.ndarray:
    return np.concatenate([beat.sound for beat in beats if beat.sound is not None])


def test_sound_comes_ahead_of_its_pictures_by_the_cushion(face: Face, words: np.ndarray) -> None:
    sound = floats(words[: 20 * SLOT])

    async def spoken() -> None:
        async with Speaker(face, FAST) as speaker, face.session(FAST) as session:
            await speaker.say(sound, RATE)
            assert speaker.finish()
            session.push_audio(sound, RATE)
            session.end_audio()
            beats = await take(speaker, 30)
            moments = [moment async for moment, _ in zip_async(session, 30)]
        pieces = [0 if beat.sound is None else len(beat.sound) for beat in beats]
        first = pieces.index(SLOT * (CUSHION + 1))
        assert pieces[first:][: 20 - CUSHION] == [SLOT * (CUSHION + 1)] + [SLOT] * (19 - CUSHION)
        assert sum(pieces) == 20 * SLOT
        assert np.array_equal(joined(beats), sound)
        assert [beat.is_first for beat in beats] == [n == first for n in range(30)]
        assert [n for n, beat in enumerate(beats) if beat.ended_s] == [first + 20]
        assert beats[first + 20].ended_s == 0.8
        assert moments[first].speech_id is not None
        assert moments[first + 19].speech_id is not None
        assert moments[first + 20].speech_id is None
        for beat, moment in zip(beats, moments, strict=True):
            assert np.array_equal(beat.image, moment.image)

    run(spoken())


async def zip_async(session: Any, count: int) -> Any:
    number = 0
    async for moment in session:
        yield moment, number
        number += 1
        if number == count:
            return


@pytest.mark.parametrize(("rate", "piece"), [(8_000, 80), (24_000, 480), (48_000, 100_000)])
def test_sound_of_any_rate_comes_out_whole(face: Face, rate: int, piece: int) -> None:
    time = np.arange(rate) / rate
    sound = (0.5 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)
    expected = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)

    async def spoken() -> None:
        async with Speaker(face, FAST) as speaker:
            for start in range(0, rate, piece):
                await speaker.say(sound[start : start + piece], rate)
            speaker.finish()
            beats = await take(speaker, 40)
        assert np.abs(joined(beats)[200 : RATE - 200] - expected[200:-200]).max() < 0.01
        assert [beat.ended_s for beat in beats if beat.ended_s] == [1.0]

    run(spoken())


def test_a_pause_in_the_middle_of_a_turn_is_part_of_it(face: Face, words: np.ndarray) -> None:
    sound = floats(words[:RATE])

    async def spoken() -> None:
        async with Speaker(face, LIVE) as speaker:
            beats: list[Beat] = []
            await speaker.say(sound[: RATE // 2], RATE)
            async for beat in speaker.beats():
                beats.append(beat)
                if len(beats) == 25:
                    await speaker.say(sound[RATE // 2 :], RATE)
                    speaker.finish()
                if beat.ended_s:
                    break
        assert beats[-1].ended_s == 1.0
        assert not any(beat.ended_s for beat in beats[:-1])
        assert sum(beat.is_first for beat in beats) == 1
        heard = joined(beats)
        assert np.array_equal(heard[heard != 0], sound)
        assert len(heard) > 1.2 * RATE

    run(spoken())


def test_turns_follow_each_other_in_order_and_none_is_too_short(
    face: Face, words: np.ndarray
) -> None:
    async def spoken() -> None:
        async with Speaker(face, FAST) as speaker:
            for length in (1, SLOT, 7 * SLOT):
                await speaker.say(floats(words[:length]), RATE)
                speaker.finish()
            assert not speaker.finish()
            beats = await take(speaker, 40)
            assert not speaker.is_speaking
        assert [beat.ended_s for beat in beats if beat.ended_s] == [1 / RATE, 0.04, 0.28]
        assert sum(beat.is_first for beat in beats) == 3
        assert not any(beat.is_first and beat.ended_s is None for beat in beats[20:])

    run(spoken())


def test_an_interruption_says_how_far_it_came_and_fades(face: Face, words: np.ndarray) -> None:
    async def spoken() -> None:
        async with Speaker(face, LIVE) as speaker:
            beats: list[Beat] = []
            await speaker.say(floats(words), RATE)
            async for beat in speaker.beats():
                beats.append(beat)
                if sum(b.sound is not None for b in beats) == 10:
                    break
            cut = speaker.interrupt()
            assert cut.handed_s == pytest.approx((10 + CUSHION) * 0.04)
            assert cut.due_s == pytest.approx(10 * 0.04)
            assert len(joined(beats)) == round(cut.handed_s * RATE)
            after = await take(speaker, 8)
            assert not speaker.is_speaking
        fade = np.trim_zeros(joined(after), "b")
        assert len(joined(after)) == SLOT
        assert 0 < len(fade) <= 0.015 * RATE
        end = floats(words)[len(joined(beats)) :][: len(fade)]
        assert np.all(np.abs(fade) <= np.abs(end) + 1e-6)
        assert abs(fade[-1]) < 0.01
        assert not any(beat.is_first or beat.ended_s for beat in after)

    run(spoken())


def test_what_was_not_yet_heard_is_not_faded(face: Face, words: np.ndarray) -> None:
    async def spoken() -> None:
        async with Speaker(face, LIVE) as speaker:
            await take(speaker, 1)
            await speaker.say(floats(words), RATE)
            cut = speaker.interrupt()
            assert (cut.handed_s, cut.due_s) == (0.0, 0.0)
            assert all(beat.sound is None for beat in await take(speaker, 6))
            await speaker.say(floats(words[:SLOT]), RATE)
            speaker.finish()
            assert np.array_equal(joined(await take(speaker, 10)), floats(words[:SLOT]))

    run(spoken())


def test_sound_waits_for_room_and_an_interruption_drops_it(face: Face, words: np.ndarray) -> None:
    async def spoken() -> None:
        settings = replace(LIVE, longest_queue_s=1.0, is_paced=False)
        async with Speaker(face, settings) as speaker:
            saying = asyncio.create_task(speaker.say(floats(words), RATE))
            beats = await take(speaker, 60)
            assert not saying.done()
            assert np.array_equal(joined(beats), floats(words)[: len(joined(beats))])
            speaker.interrupt()
            await asyncio.wait_for(saying, 1)
            assert not speaker.is_speaking

    run(spoken())


def test_a_session_that_failed_is_told(face: Face) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            return getattr(face.animator, name)

        def draw(self, *given: Any) -> Any:
            raise MemoryError("no more of it")

    async def spoken() -> None:
        broken = replace(face, animator=Broken())
        async with Speaker(broken, LIVE) as speaker:
            with pytest.raises(SessionClosed, match="can no longer be drawn"):
                await take(speaker, 100)

    run(spoken())


def test_a_face_cannot_be_of_any_size(words: np.ndarray) -> None:
    with pytest.raises(InputError, match="odd"):
        open_face("nowhere.png", size=129)


@pytest.mark.parametrize("name", ["livekit", "pipecat", "fastrtc"])
def test_a_missing_framework_is_named_with_what_installs_it(name: str) -> None:
    import subprocess

    code = f"import sys; sys.modules[{name!r}] = None; import visavis.integrations.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f'pip install "visavis[{name}]"' in done.stderr.splitlines()[-1]
