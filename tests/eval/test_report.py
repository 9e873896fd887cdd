import xml.etree.ElementTree as ET

import numpy as np

from visavis.eval import plot, report


def test_a_figure_is_well_formed_and_holds_what_it_is_given() -> None:
    values = np.sin(np.arange(300) / 20).astype(np.float32)
    panel = plot.Panel(
        "a < b", "unit", -1, 1, 100, (plot.Line(values, "#000", "one", is_dashed=True),),
        (plot.Band(10, 40, "#f00", "AA"),), (plot.Mark(20, 0.5, "#0f0", "hit & miss"),),
        ((0.0, "zero"),),
    )  # fmt: skip
    root = ET.fromstring(plot.figure([panel, panel], 300))
    names = [element.tag.split("}")[1] for element in root.iter()]
    assert names.count("polyline") == names.count("circle") == 2
    texts = [element.text for element in root.iter() if element.text]
    assert {"a < b", "AA", "hit & miss", "zero", "2 s"} <= set(texts)


def test_long_videos_stay_within_bounds() -> None:
    root = ET.fromstring(plot.figure([plot.Panel("a", "b", 0, 1)], 360_000))
    assert float(root.attrib["width"]) <= plot.WIDEST_PX + plot.LEFT_PX + plot.RIGHT_PX


def test_the_table_grades_what_has_a_verdict() -> None:
    figures = {"closure_recall": 0.8, "av_offset_ms": 10.0, "head_jitter": 5.0, "sharpness": None,
               "head_range_deg": {"pitch": 1.0}, "fps": 25.0}  # fmt: skip
    lines = report.table(figures).splitlines()
    grades = [next((w for w in ("good", "fair", "BAD") if w in line), "") for line in lines]
    assert grades == ["fair", "good", "BAD", "", "", ""]
