import numpy as np

from denoiser import Denoiser
from visavis.motion.chunks import ChunkPlan
from visavis.motion.conditions import group
from visavis.motion.controls import Timeline
from visavis.motion.diffused import DiffusedMotion
from visavis.motion.layout import pack
from visavis.motion.seams import joined
from visavis.types import Features


def test_a_chunk_begins_where_the_last_was_going_and_finds_its_own_way() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (25, 58)).astype(np.float32)
    foreseen = rng.normal(0, 1, (1, 58)).astype(np.float32)
    made = joined(values, foreseen)
    for name, frames in (("head", 12), ("brows", 8), ("gaze", 3), ("lids", 3)):
        columns = group(name)
        assert np.allclose(made[0, columns], foreseen[0, columns], atol=1e-6)
        assert np.array_equal(made[frames:, columns], values[frames:, columns])
        left = (made - values)[:, columns] / (foreseen - values[:1])[:, columns]
        assert (np.diff(left, axis=0) <= 1e-4).all()
    mouth = group("jaw") + group("lips")
    assert np.allclose(made[0, mouth], 0.5 * (values[0] + foreseen[0])[mouth], atol=1e-6)
    assert np.array_equal(made[1:, mouth], values[1:, mouth])


def test_nothing_foreseen_changes_nothing_and_short_chunks_end_on_their_own() -> None:
    values = np.ones((4, 58), np.float32)
    assert joined(values, values[:0]) is values
    made = joined(values, np.zeros((1, 58), np.float32))
    assert np.abs(made[3] - 1.0).max() < 0.2


def test_borders_of_chunks_do_not_show() -> None:
    """Against the same chunks without anything foreseen (nothing is heard ahead)."""
    rows = np.abs(np.random.default_rng(1).normal(0, 0.4, (2000, 45))).astype(np.float32)

    def step_at_borders(ahead: int) -> float:
        model = DiffusedMotion(Denoiser(), plan=ChunkPlan(first=25, ahead=ahead))
        made = pack(model.step(model.start(0), Features(rows, 100), Timeline(), final=True)[1])
        steps = np.abs(np.diff(made[:, group("head")[:3] + group("brows")], axis=0)).mean(1)
        borders = np.arange(24, len(steps), 25)
        return float(steps[borders].mean() / np.delete(steps, borders).mean())

    assert step_at_borders(2) < 1.35
    assert step_at_borders(2) < 0.8 * step_at_borders(0)
