"""Stages, recordings and compiled functions on a machine without a GPU."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from visavis.nn.compile import HOWS, Stage, prepared, to_host  # noqa: E402

CPU = torch.device("cpu")


def doubled(x):
    return x * 2


def test_a_stage_has_its_output_at_once_where_there_are_no_streams():
    output, event = Stage(doubled, CPU)(torch.ones(2))
    assert output.tolist() == [2, 2]
    assert event is None


def test_graphs_are_left_out_on_a_cpu():
    assert prepared(doubled, CPU, "graph") is doubled
    assert prepared(doubled, CPU, "eager") is doubled


def test_compile_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda f, **options: asked.append(options) or f)
    for how in HOWS:
        prepared(doubled, CPU, how)
    assert asked == [{"dynamic": False}] * 2


def test_what_is_on_the_host_stays_there():
    value = torch.ones(1)
    assert to_host(value) is value


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recording_replays_for_other_inputs():
    device = torch.device("cuda")
    replayed = prepared(doubled, device, "graph")
    first = replayed(torch.ones(3, device=device))
    second = replayed(torch.full((3,), 2.0, device=device))
    assert (first.tolist(), second.tolist()) == ([2.0] * 3, [4.0] * 3)
