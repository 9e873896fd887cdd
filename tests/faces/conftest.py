"""What the face tests share: the embedded portrait at the size of most crops."""

import cv2
import numpy as np
import pytest

from visavis.hub import asset


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """The embedded portrait (512, 512, 3) RGB."""
    coded = np.fromfile(asset("demo_portrait.webp"), np.uint8)
    image = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (512, 512), interpolation=cv2.INTER_AREA)
