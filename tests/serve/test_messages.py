"""The control protocol: what is understood, what is refused, and never anything else."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydantic")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from visavis.serve import messages  # noqa: E402
from visavis.serve.messages import BadMessage  # noqa: E402
from visavis.stream.moments import Event  # noqa: E402

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
KINDS = [
    "agent.speak", "agent.speak_end", "agent.interrupt", "agent.resume", "agent.say",
    "agent.start_listening", "agent.stop_listening", "agent.set_state", "agent.set_control",
    "agent.user_audio", "session.keep_alive", "agent.dance",
]  # fmt: skip


def test_sound_goes_there_and_back() -> None:
    sound = np.array([0, 0.5, -0.5, 1, -1], np.float32)
    data = base64.b64encode(messages.as_pcm16(sound)).decode()
    message = messages.read(json.dumps({"type": "agent.speak", "event_id": "a", "audio": data}))
    assert isinstance(message, messages.Speak)
    assert message.sample_rate == 24_000
    np.testing.assert_allclose(messages.sound_of(message), sound, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "7", "null", '"agent.interrupt"', "{}", '{"type": "agent.dance"}',
        '{"type": "agent.speak"}', '{"type": "agent.speak", "audio": "AAA=", "sample_rate": 1}',
        '{"type": "agent.say", "text": ""}', '{"type": "agent.set_state", "state": "asleep"}',
        '{"type": "agent.interrupt", "event_id": "<script>"}', "[" * 5000,
        json.dumps({"type": "agent.say", "text": "x" * 4001}),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadMessage) as refused:
        messages.read(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("audio", ["?", "AAA", "AAAA", "ä"])
def test_sound_that_is_none_is_refused(audio: str) -> None:
    message = messages.read(json.dumps({"type": "agent.user_audio", "audio": audio}))
    assert isinstance(message, messages.UserAudio)
    with pytest.raises(BadMessage):
        messages.sound_of(message)


@given(JSON, st.sampled_from(KINDS))
def test_whatever_comes_is_a_message_or_refused(content: Any, kind: str) -> None:
    given_ = {**content, "type": kind} if isinstance(content, dict) else content
    try:
        message = messages.read(json.dumps(given_))
        assert message.type == kind
    except BadMessage:
        pass


@given(st.binary(max_size=64))
def test_bytes_are_samples_or_refused(data: bytes) -> None:
    try:
        assert len(messages.pcm16(data)) == len(data) // 2
    except BadMessage:
        assert len(data) % 2


def test_events_are_told_under_the_names_of_the_protocol() -> None:
    ended = messages.told(Event("speak_interrupted", 50, "a", 1.234567))
    assert ended == {
        "type": "agent.speak_interrupted", "index": 50, "event_id": "a", "position_s": 1.2346,
    }  # fmt: skip
    state = messages.told(Event("state_changed", 1, detail="listening"))
    assert state == {"type": "agent.state_changed", "index": 1, "state": "listening"}
    assert messages.told(Event("closed", 1)) is None
    assert json.loads(messages.written(ended)) == ended
