"""The neural path: Ditto's and LivePortrait's published networks as parts of an animator.

``opening`` puts the three parts together; ``checking``, ``converting`` and ``random_weights`` serve
``visavis models``. Needs ``pip install "visavis[neural]"``; networks exported to ONNX do without.
"""

from visavis.neural.opening import open_neural

__all__ = ["open_neural"]
