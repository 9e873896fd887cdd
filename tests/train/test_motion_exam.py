"""The student's exam: full marks for what is right, and errors of the size they are."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from visavis.motion import conditions  # noqa: E402
from visavis.motion.layout import INDEX  # noqa: E402
from visavis.train.motion_exam import MOUTH, SEEDS, Exam, take  # noqa: E402
from visavis.train.motion_nets import SPEECH  # noqa: E402
from visavis.train.tasks.motion import lip_rows  # noqa: E402

COUNT, FRAMES, JAW = 3, 20, INDEX["jawOpen"]


class Sayer(torch.nn.Module):
    """A network that says the same whatever it is asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, motion, level, speech, other, controls):
        return self.answer


@pytest.fixture
def exam() -> Exam:
    """Motion with a jaw that opens and shuts, heard; the teacher knows it all by heart."""
    t = torch.arange(FRAMES) / 4
    true = torch.zeros(COUNT * SEEDS, FRAMES, 58)
    true[..., JAW] = (t.sin() + 1) / 2
    controls = torch.zeros(COUNT * SEEDS, FRAMES, conditions.SIZE)
    controls[..., conditions.HAS_SPEECH] = 1
    facts = {
        "known": torch.ones(COUNT * SEEDS, 58, dtype=torch.bool),
        "speech": torch.zeros(COUNT * SEEDS, FRAMES, SPEECH),
        "other": torch.zeros(COUNT * SEEDS, FRAMES, 12),
        "controls": controls,
    }
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    return Exam(
        true, facts, noise, torch.zeros(58), torch.ones(58), lip_rows(), true, true + 0.01 * noise
    )


def test_the_truth_gets_full_marks(exam: Exam) -> None:
    marks = take(Sayer(exam.true), exam)
    for name in ("one", "many"):
        assert marks[f"gap_{name}"] == marks[f"speed_{name}"] == marks[f"seeds_{name}"] == 0
        assert marks[f"shut_{name}"] < 0.04
        assert marks[f"moves_{name}"] == pytest.approx(
            float(torch.diff(exam.true, dim=1).abs().mean()), abs=1e-4
        )
    assert marks["path_one"] == 0
    assert marks["path_few"] == pytest.approx(0.008, abs=1e-3)  # mean |0.01 noise|


def test_lips_that_hang_open_are_seen(exam: Exam) -> None:
    stuck = exam.true.clone()
    stuck[..., JAW] = 0.5
    marks = take(Sayer(stuck), exam)
    per_jaw = float(exam.gaps[exam.gaps.shape[0] // 2, JAW])
    assert marks["shut_one"] == pytest.approx(0.5 * per_jaw, rel=0.01)
    assert marks["gap_one"] > 0.1
    assert marks["moves_one"] == 0
    still = torch.diff(exam.true, dim=1)[..., MOUTH].abs().mean()
    assert marks["speed_one"] == pytest.approx(float(still), abs=1e-4)


def test_only_known_and_heard_mouths_count(exam: Exam) -> None:
    wrong = exam.true.clone()
    wrong[::2, :, JAW] += 0.5
    deaf = exam.facts["controls"].clone()
    deaf[::2, :, conditions.HAS_SPEECH] = 0
    known = exam.facts["known"].clone()
    known[::2, MOUTH] = False
    unheard = dataclasses.replace(exam, facts={**exam.facts, "controls": deaf})
    unknown = dataclasses.replace(exam, facts={**exam.facts, "known": known})
    assert take(Sayer(wrong), exam)["gap_one"] > 0.1
    assert take(Sayer(wrong), unheard)["gap_one"] == 0
    assert take(Sayer(wrong), unknown)["gap_one"] == take(Sayer(wrong), unknown)["speed_one"] == 0


def test_seeds_that_differ_are_counted(exam: Exam) -> None:
    spread = torch.arange(SEEDS).repeat_interleave(COUNT)[:, None, None] * torch.ones(58)
    marks = take(Sayer(exam.true + spread), exam)
    assert marks["seeds_one"] == pytest.approx(float(torch.arange(4.0).std()), rel=1e-3)
    assert marks["seeds_many"] == 0
