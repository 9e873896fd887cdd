"""The JSON of the HTTP API; FastAPI checks requests against it and publishes it as OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ID_PATTERN = r"^[0-9a-f]{32}$"
Identifier = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""32 hex digits; nothing else of a request is ever used to find something."""
EventId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")]
Item = TypeVar("Item")
Pair = Annotated[list[Item], Field(min_length=2, max_length=2)]
MOST_TEXT = 4_000
MOST_SDP = 200_000


class _Given(BaseModel):
    """What a request says; unknown fields are left alone, as WebRTC clients add their own."""

    model_config = ConfigDict(extra="ignore")


class Failure(BaseModel):
    """Every error: a ``error`` code for programs, a ``message`` for people."""

    error: str = Field(examples=["busy"])
    message: str
    request_id: str
    retry_after_s: int | None = None


class IceServerModel(BaseModel):
    """A STUN or TURN server as ``RTCPeerConnection`` takes it."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class AvatarModel(BaseModel):
    """A face to choose; ``warnings`` are for people to read."""

    id: Identifier
    name: str
    width: int
    height: int
    warnings: list[str]
    is_uploaded: bool
    picture: str


class AvatarsModel(BaseModel):
    """All faces to choose from."""

    avatars: list[AvatarModel]


class LimitsModel(BaseModel):
    """How much is taken."""

    max_upload_bytes: int
    max_message_bytes: int
    max_sessions: int
    max_session_s: int
    idle_s: int


class ConfigModel(BaseModel):
    """What a page needs to know before it connects."""

    version: str
    avatars: list[AvatarModel]
    default_avatar: Identifier
    ice_servers: list[IceServerModel]
    disclosure: str
    badge: str
    is_badge_drawn: bool
    emotions: list[str]
    gazes: list[str]
    energy: Pair[float]
    qualities: list[str]
    quality: str
    size: Pair[int]
    fps: int
    sound_rate: int
    agents: list[str]
    agent: str
    has_voice: bool
    is_consent_required: bool
    limits: LimitsModel


class SessionRequest(_Given):
    """How a session is to be; everything has a default."""

    avatar_id: Identifier | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    quality: Literal["draft", "standard", "high"] | None = None
    agent: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}$")] | None = None


class SessionModel(BaseModel):
    """An open session; ``token`` is the key to it."""

    session_id: Identifier
    token: str
    avatar_id: Identifier
    disclosure: str
    badge: str
    size: Pair[int]
    fps: int
    sound_rate: int
    agent: str
    max_session_s: int
    idle_s: int
    ws: str
    whep: str


class StatsModel(BaseModel):
    """How a session is doing; ``detail`` are the numbers of the machinery, by name."""

    session_id: Identifier
    state: str
    phase: str
    age_s: float
    viewers: int
    frames: int
    late_frames: int
    detail: dict[str, Any]


class OfferRequest(_Given):
    """A WebRTC offer as SmallWebRTC clients make it."""

    sdp: Annotated[str, StringConstraints(min_length=1, max_length=MOST_SDP)]
    type: Literal["offer"]
    session_id: Identifier | None = None
    avatar_id: Identifier | None = None
    pc_id: Identifier | None = None
    restart_pc: bool | None = None


class AnswerModel(BaseModel):
    """A WebRTC answer; ``token`` is there when the offer opened the session as well."""

    sdp: str
    type: Literal["answer"] = "answer"
    pc_id: Identifier
    session_id: Identifier
    token: str | None = None


class CandidateModel(_Given):
    """One ICE candidate; an empty one says that there are no more."""

    candidate: Annotated[str, StringConstraints(max_length=2_000)]
    sdp_mid: Annotated[str, StringConstraints(max_length=64)] | None = None
    sdp_mline_index: Annotated[int, Field(ge=0, lt=64)] | None = None


class CandidatesRequest(_Given):
    """ICE candidates found after the offer was made."""

    pc_id: Identifier
    candidates: Annotated[list[CandidateModel], Field(max_length=64)]


class DoneModel(BaseModel):
    """It was done."""

    status: Literal["success"] = "success"


class SayRequest(_Given):
    """Words to be spoken by the local voice."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]
    event_id: EventId | None = None


class AcceptedModel(BaseModel):
    """It will be spoken; events about it carry ``event_id``."""

    event_id: str


class InterruptedModel(BaseModel):
    """Where the interruption stopped what was being said."""

    event_id: str | None
    position_s: float
    dropped_s: float


class OutputRequest(_Given):
    """Where to: "record", or the address of a media server (rtmp://…, whip://… with ``token``)."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    token: Annotated[str, StringConstraints(max_length=2_000)] = ""


class OutputModel(BaseModel):
    """One output at work; ``kind`` "record", "camera", "rtmp" or "whip"."""

    output_id: Identifier
    kind: str


class OutputsModel(BaseModel):
    """All outputs of a session."""

    outputs: list[OutputModel]


class HealthModel(BaseModel):
    """Whether the server lives, or takes sessions, and how many it has."""

    status: str
    sessions: int
