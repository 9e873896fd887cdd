"""What became of each video: a record that a later run goes on from, and a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from visavis.errors import InputError
from visavis.media.kinds import shown
from visavis.media.place import whole_file

FILE = "report.json"


@dataclass(frozen=True)
class Verdict:
    """One piece of a video: accepted as the clip ``name``, or not, for ``reason``.

    ``start_s``, ``seconds``; ``face_px`` between the outer eye corners; ``missing`` share of frames
    without a face; ``residual`` mean distance of rig and landmarks in eye corner distances;
    ``gap_correlation`` of the lip gap, rig with landmarks; ``blinks``; ``yaw_deg`` of the head;
    ``av_ms`` lateness of the picture as estimated, with ``av_correlation``; ``late_ms`` what was
    taken out; ``note`` for people.
    """

    name: str
    person: str
    split: str
    is_accepted: bool = False
    reason: str = ""
    start_s: float = 0.0
    seconds: float = 0.0
    face_px: float = 0.0
    missing: float = 0.0
    residual: float = 0.0
    gap_correlation: float = 0.0
    blinks: int = 0
    yaw_deg: float = 0.0
    av_ms: float = 0.0
    av_correlation: float = 0.0
    late_ms: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The verdicts by video; ``sizes`` (bytes) tell whether a video is still the same."""

    videos: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Return all verdicts."""
        return tuple(v for each in self.videos.values() for v in each)

    def holds(self, video: Path, folder: Path) -> bool:
        """Return whether ``video`` is finished and its clips are still in ``folder``."""
        key = str(video)
        if self.sizes.get(key) != video.stat().st_size:
            return False
        return all(clip.exists() for clip in self.clips(video, folder))

    def clips(self, video: Path, folder: Path) -> tuple[Path, ...]:
        """Return the clips in ``folder`` that ``video`` has been made into so far."""
        made = self.videos.get(str(video), ())
        return tuple(folder / f"{v.name}.npz" for v in made if v.is_accepted)

    def having(self, video: Path, verdicts: tuple[Verdict, ...]) -> Report:
        """Return the report with ``video`` finished."""
        key = str(video)
        return Report({**self.videos, key: verdicts}, {**self.sizes, key: video.stat().st_size})


def read_report(folder: Path) -> Report:
    """Return the record in ``folder``; an empty one if there is none.

    Raises:
        InputError: the record is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return Report()
    try:
        content = json.loads(path.read_text("utf-8"))
        videos = {k: tuple(Verdict(**v) for v in vs) for k, vs in content["videos"].items()}
        return Report(videos, {k: int(v) for k, v in content["sizes"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{shown(path)} is no record of prepared videos ({error!r}). Delete it to begin anew."
        ) from error


def write_report(folder: Path, report: Report) -> None:
    """Write ``report`` to ``folder``, whole or not at all."""
    videos = {
        name: [
            {k: round(x, 4) if isinstance(x, float) else x for k, x in asdict(v).items()}
            for v in each
        ]
        for name, each in report.videos.items()
    }
    with whole_file(folder / FILE) as place:
        place.write_text(json.dumps({"videos": videos, "sizes": dict(report.sizes)}, indent=1))


def table(report: Report) -> str:
    """Return the report as lines for people: accepted clips, what was left out, sums."""
    good = [v for v in report.verdicts if v.is_accepted]
    bad = [v for v in report.verdicts if not v.is_accepted]
    lines = ["clip                                     person                    s  fit %  A/V ms"]
    for v in good:
        lines.append(
            f"{v.name[:40]:40} {v.person[:22]:22} {v.seconds:5.1f} {100 * v.residual:6.2f} "
            f"{v.av_ms:7.0f}  {v.note}".rstrip()
        )
    lines += [f"left out: {v.name} at {v.start_s:.1f} s: {v.reason}" for v in bad]
    for split in ("train", "validation", "test"):
        seconds = sum(v.seconds for v in good if v.split == split)
        persons = len({v.person for v in good if v.split == split})
        lines.append(f"{split}: {seconds / 60:.1f} min of {persons} persons")
    return "\n".join(lines)
