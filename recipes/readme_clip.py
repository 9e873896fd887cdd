"""Make the clip that opens the README: `python recipes/readme_clip.py .github/hello.webp`."""

import sys

from PIL import Image

import visavis
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH

FPS, FIRST, COUNT = 20, 4, 130

frames = visavis.frames(DEMO_PORTRAIT, DEMO_SPEECH, size=320, fps=FPS)
pictures = [Image.fromarray(frame.image) for frame in frames][FIRST : FIRST + COUNT]
pictures[0].save(
    sys.argv[1],
    save_all=True,
    append_images=pictures[1:],
    duration=1000 // FPS,
    loop=0,
    quality=60,
    method=4,
)
