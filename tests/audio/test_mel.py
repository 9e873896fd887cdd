import numpy as np

from visavis.audio.features import BLOCK_ROWS, HOP_SAMPLES
from visavis.audio.mel import BANDS, BLOCK_SAMPLES, WINDOW_SAMPLES, block_log_mel, filterbank

NEEDED = BLOCK_SAMPLES - HOP_SAMPLES + WINDOW_SAMPLES


def test_row_stands_at_its_instant() -> None:
    for row in range(BLOCK_ROWS):
        sound = np.zeros(NEEDED, np.float32)
        sound[WINDOW_SAMPLES // 2 + row * HOP_SAMPLES] = 1.0
        rows = block_log_mel(sound)
        assert rows.shape == (BLOCK_ROWS, BANDS)
        assert rows.dtype == np.float32
        assert int(rows.sum(1).argmax()) == row


def test_tone_lands_in_its_band() -> None:
    t = np.arange(NEEDED) / 16000
    bands = [
        int(block_log_mel(np.sin(2 * np.pi * hz * t).astype(np.float32))[1].argmax())
        for hz in (200.0, 1000.0, 5000.0)
    ]
    centres = [float(filterbank()[:, b].argmax()) * 16000 / 512 for b in bands]
    assert np.allclose(centres, [200, 1000, 5000], rtol=0.12)
