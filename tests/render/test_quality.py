"""The quality ladder by name."""

import pytest

from visavis.errors import InputError
from visavis.render.quality import DEFAULT_QUALITY, QUALITIES, touch_for
from visavis.render.renderers import renderer_by


def test_a_draft_is_the_warp_alone():
    assert touch_for("draft") is None


@pytest.mark.parametrize("quality", QUALITIES)
def test_every_quality_has_a_renderer(quality):
    assert renderer_by(quality=quality)


def test_the_default_is_one_of_them():
    assert DEFAULT_QUALITY == "standard"
    assert DEFAULT_QUALITY in QUALITIES


@pytest.mark.parametrize("quality", ["ultra", "", "Draft", None])
def test_other_words_are_refused(quality):
    with pytest.raises(InputError, match="no quality.*draft, standard, high"):
        touch_for(quality)
