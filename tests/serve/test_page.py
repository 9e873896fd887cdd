"""Talking with the page: real server, real Chromium that decodes, a fake microphone that speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from browsing import PHONE, browsing, serving, start, visiting, write_wav
from visavis.opening import DEMO_SPEECH

MOUTH = """async ([frames, of]) => {
  const source = document.getElementById(of), out = [];
  const paper = new OffscreenCanvas(64, 32).getContext('2d', {willReadFrequently: true});
  for (let n = 0; n < frames; n++) {
    await new Promise(done => of === 'video' ? source.requestVideoFrameCallback(done)
                                             : setTimeout(done, 40));
    const [w, h] = [source.videoWidth ?? source.width, source.videoHeight ?? source.height];
    paper.drawImage(source, w * 0.3, h * 0.6, w * 0.4, h * 0.25, 0, 0, 64, 32);
    out.push([...paper.getImageData(0, 0, 64, 32).data].filter((_, i) => i % 4 === 1));
  }
  return out;
}"""
"""The green of the lower face, frame by frame."""


def mouth_moves(page: Any, frames: int = 25, of: str = "video") -> float:
    """Return how much the lower face changes from frame to frame, in grey levels."""
    seen = np.array(page.evaluate(MOUTH, [frames, of]), float)
    return float(np.abs(np.diff(seen, axis=0)).mean())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(max_sessions=1) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Iterator[Any]:
    quiet = np.zeros(8_000, np.float32)
    voice = write_wav(
        tmp_path_factory.mktemp("voice") / "voice.wav", np.concatenate([speech, quiet])
    )
    with browsing(f"--use-file-for-fake-audio-capture={voice}") as found:
        yield found


@pytest.fixture(scope="module")
def visit(browser: Any, server: str) -> Iterator[Any]:
    with visiting(browser, server) as found:
        yield found


@pytest.fixture
def page(visit: Any) -> Any:
    """The page with a conversation going on, in which nothing has been said or set."""
    visit.problems.clear()
    visit.evaluate("""async () => {
        const {conversation} = await import('./main.js');
        const handsfree = document.getElementById('handsfree');
        document.getElementById('controls').reset();
        if (handsfree.checked) handsfree.click();
        if (conversation.isLive) await conversation.interrupt();
    }""")
    if visit.is_visible("#start"):
        start(visit)
    visit.wait_for_selector("[data-speaking=no]", state="attached")
    return visit


def frames_shown(page: Any, count: int) -> None:
    """Wait until the video has decoded ``count`` frames more."""
    page.evaluate(
        """async (count) => {
            const decoded = () => video.getVideoPlaybackQuality().totalVideoFrames;
            const video = document.getElementById('video'), before = decoded();
            while (decoded() < before + count) await new Promise(done => setTimeout(done, 50));
        }""",
        count,
    )


def end(page: Any) -> None:
    """Leave the conversation and wait until the server has forgotten it."""
    page.evaluate("async () => { await (await import('./main.js')).conversation.leave(); }")


def test_the_portrait_comes_alive(page: Any) -> None:
    frames_shown(page, 40)
    size = page.evaluate(
        "(v => [v.videoWidth, v.videoHeight, v.muted])(document.getElementById('video'))"
    )
    assert size == [512, 512, False]
    assert not page.is_visible("#badge")  # the pictures carry their own
    assert mouth_moves(page) > 0
    page.wait_for_selector("[data-stat=fps]:visible")
    page.wait_for_function("""() => Math.abs(
        Number(document.querySelector('[data-stat=fps] dd').textContent) - 25) <= 3""")
    page.wait_for_selector("[data-stat=trip]:visible")
    assert page.problems == []


def test_a_sound_file_is_spoken_and_can_be_interrupted(page: Any) -> None:
    idle = mouth_moves(page)
    page.set_input_files("#sound", DEMO_SPEECH)
    page.wait_for_selector("[data-speaking=yes]")
    assert page.inner_text("#phase-word") == "Speaking"
    page.wait_for_timeout(400)
    assert mouth_moves(page) > 1.5 * idle
    page.wait_for_selector("[data-stat=first]:visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-speaking=no]", state="attached", timeout=2_000)
    assert page.inner_text("#phase-word") != "Speaking"


def test_the_interrupt_button_is_there_while_it_speaks_and_then_one_to_go_on(page: Any) -> None:
    assert not page.is_visible("#interrupt")
    page.set_input_files("#sound", DEMO_SPEECH)
    page.click("#interrupt")
    page.wait_for_selector("#interrupt", state="hidden", timeout=2_000)
    page.click("#resume")
    page.wait_for_selector("[data-speaking=yes]")
    page.wait_for_selector("#resume", state="hidden")


def test_it_listens_while_the_microphone_hears_speech(page: Any) -> None:
    page.click(".switch")
    page.wait_for_selector("#mic[aria-pressed=true]")
    page.wait_for_selector("#phase[data-phase=listening]")
    page.wait_for_function(
        "() => Number(document.getElementById('mic').style.getPropertyValue('--level')) > 0.2"
    )
    page.click(".switch")
    page.wait_for_selector("#mic[aria-pressed=false]")
    page.wait_for_selector("#phase:not([data-phase=listening])")


def test_the_space_bar_is_held_to_talk(page: Any) -> None:
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down("Space")
    page.wait_for_selector("#mic[aria-pressed=true]")
    page.wait_for_selector("#phase[data-phase=listening]")
    page.keyboard.up("Space")
    page.wait_for_selector("#mic[aria-pressed=false]")
    page.focus("#text")
    page.keyboard.type("a b")
    assert page.get_attribute("#mic", "aria-pressed") == "false"
    assert page.input_value("#text") == "a b"


def test_state_and_expression_reach_the_session(page: Any) -> None:
    page.check("input[name=state][value=listening]", force=True)
    page.wait_for_selector("#phase[data-phase=listening]")
    page.check("input[name=state][value=idle]", force=True)
    page.wait_for_selector("#phase[data-phase=idle]")
    rest = np.array(page.evaluate(MOUTH, [3, "video"]), float).mean(0)
    page.check("input[name=emotion][value=happy]", force=True)
    page.fill("#intensity", "1")
    page.wait_for_timeout(1_500)
    happy = np.array(page.evaluate(MOUTH, [3, "video"]), float).mean(0)
    assert np.abs(happy - rest).mean() > 1
    page.check("input[name=gaze][value=follow]", force=True)
    page.mouse.move(100, 100)
    page.mouse.move(500, 300)
    page.wait_for_timeout(300)
    assert not page.is_visible("#toast.shown")


def test_a_full_server_says_so_and_lets_the_next_in(page: Any, browser: Any, server: str) -> None:
    with visiting(browser, server) as second:
        second.click("#start")
        second.wait_for_selector("[data-life=busy]")
        assert "tries again" in second.inner_text("#notice")
        end(page)
        second.click("#retry")
        second.wait_for_selector("#video.shown")
        end(second)


def test_a_session_that_ends_on_the_server_is_told(page: Any) -> None:
    page.evaluate("""async () => {
        const {conversation} = await import('./main.js');
        await conversation.api.request('DELETE', `sessions/${conversation.session.session_id}`,
                                       {token: conversation.session.token});
    }""")
    page.wait_for_selector("[data-life=ready]")
    assert "ended" in page.inner_text("#toast")
    assert page.is_visible("#start")


def test_a_connection_that_breaks_is_made_again(page: Any) -> None:
    page.evaluate("""async () => {
        const {conversation} = await import('./main.js');
        const link = conversation.link;
        link.peer.close();
        link.dispatchEvent(new CustomEvent('lost'));
    }""")
    page.wait_for_selector("[data-life=lost]")
    page.wait_for_selector("[data-life=live]")
    frames_shown(page, 20)


def test_without_webrtc_a_websocket_carries_it(visit: Any, browser: Any, server: str) -> None:
    end(visit)
    with visiting(browser, server, script="delete window.RTCPeerConnection") as page:
        page.click("#start")
        page.wait_for_selector("#canvas.shown")
        assert page.evaluate("document.getElementById('canvas').width") == 512
        page.set_input_files("#sound", DEMO_SPEECH)
        page.wait_for_selector("[data-speaking=yes]")
        page.wait_for_timeout(400)
        assert mouth_moves(page, of="canvas") > 0.3
        page.keyboard.press("Escape")
        page.wait_for_selector("[data-speaking=no]", state="attached")
        page.click(".switch")
        page.wait_for_selector("#phase[data-phase=listening]")
        assert page.problems == []
        end(page)


def test_on_a_phone_it_talks_too(visit: Any, browser: Any, server: str) -> None:
    end(visit)
    with visiting(browser, server, **PHONE) as page:
        page.tap("#start")
        page.wait_for_selector("#video.shown")
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]
        page.tap("#leave")
        page.wait_for_selector("[data-life=ready]")
        assert page.problems == []


def test_written_words_are_spoken(page: Any) -> None:
    config = json.loads(page.request.get(f"{page.url}api/config").text())
    if not config["has_voice"]:
        assert page.is_disabled("#text")
        pytest.skip('no voice: pip install "visavis[voice]"')
    page.fill("#text", "Good morning. It is lovely to see you.")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-speaking=yes]")
    assert "Good morning" in page.inner_text("#caption")
    assert page.input_value("#text") == ""
