"""Ditto's motion from files: its denoiser where it runs best, and a plan round it."""

from __future__ import annotations

from pathlib import Path

from visavis.errors import InputError, MissingExtra
from visavis.motion.base import MotionModel
from visavis.motion.ditto.model import GROWING, STEADY, DittoMotion
from visavis.motion.ditto.onnx_denoiser import OnnxDenoiser
from visavis.motion.ditto.published import PublishedMotion
from visavis.motion.ditto.sampler import Denoiser, Sampling
from visavis.types import FloatArray

PLANS = ("ours", "published")
"""How windows become motion: model.py, and published.py as upstream."""


def open_denoiser(
    path: Path,
    device: str | None = None,
    precision: str | None = None,
    compiled: bool = False,
) -> Denoiser:
    """Return the denoiser in ``path``: a folder of ONNX files, or a .pth or .safetensors file.

    Files of weights run in PyTorch on ``device`` (cpu) in ``precision`` (float32, bfloat16,
    float16), ``compiled`` if asked; ONNX files on the devices of nn.session, as they are.

    Raises:
        InputError: there is no such precision, or no such device.
        MissingExtra: files of weights need PyTorch.
        ModelError: there are no such files.
        WeightsMismatch: they are of another origin.
    """
    if path.is_dir():
        return OnnxDenoiser(path, device=device)
    try:
        import torch

        from visavis.motion.ditto.torch_denoiser import TorchDenoiser
        from visavis.motion.ditto.weights import read_lmdm
    except ImportError as error:
        raise MissingExtra(
            'Ditto\'s weights need PyTorch: pip install "visavis[neural]", or convert them to ONNX.'
        ) from error
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision not in (None, *known):
        raise InputError(f"There is no precision {precision!r}; use one of: {', '.join(known)}.")
    net = read_lmdm(path)
    try:
        return TorchDenoiser(net, device or "cpu", known[precision or "float32"], compiled)
    except (RuntimeError, AssertionError) as reason:
        raise InputError(f"PyTorch cannot use the device {device!r} here; try cpu.") from reason


def ditto_motion(
    denoiser: Denoiser,
    silence: FloatArray | None = None,
    steps: int | None = None,
    is_live: bool = False,
    plan: str = "ours",
) -> MotionModel:
    """Return Ditto's motion round ``denoiser``.

    ``silence`` (k, d) rows of k silent frames (``HubertFeatures.silence``); ``steps`` calls of the
    denoiser per window, by default 10, of a student 1; ``is_live`` keeps chunks short; ``plan`` one
    of PLANS.

    Raises:
        InputError: the plan is unknown, the steps are impossible, or the silence does not fit.
    """
    if plan not in PLANS:
        raise InputError(f"No plan is called {plan!r}; use one of: {', '.join(PLANS)}.")
    usual = 1 if denoiser.config.is_student else Sampling.steps
    sampling = Sampling(usual if steps is None else steps)
    if plan == "published":
        return PublishedMotion(denoiser, sampling, silence=silence)
    chunks = STEADY if is_live else GROWING
    return DittoMotion(denoiser, sampling, chunks, silence=silence)
