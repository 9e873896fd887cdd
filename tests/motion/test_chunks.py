import pytest

from visavis.errors import InputError
from visavis.motion.chunks import LIVE, ChunkPlan


@pytest.mark.parametrize(
    ("plan", "lengths"),
    [
        (ChunkPlan(), [4, 8, 16, 25, 25, 25]),
        (ChunkPlan(first=2), [2, 4, 8, 16, 25, 25]),
        (ChunkPlan(first=10, growth=1.5), [10, 15, 22, 25, 25, 25]),
        (ChunkPlan(first=25), [25] * 6),
        (LIVE, [4] * 6),
    ],
)
def test_chunks_grow_as_planned(plan: ChunkPlan, lengths: list[int]) -> None:
    assert [plan.length(i) for i in range(6)] == lengths
    assert plan.length(10**9) == lengths[-1]
    assert plan.longest_wait == lengths[-1] + plan.ahead


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 1},
        {"first": 9, "longest": 8},
        {"growth": 0.5},
        {"ahead": -1},
        {"context": -1},
        {"longest": 90},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="impossible"):
        ChunkPlan(**wrong)
