"""Latent video diffusion: the path of OSA-LCM and LLIA, networks in PyTorch, models in use without.

``opening`` puts a model together of ONNX files: ``motion`` makes clips of latents, ``renderer``
draws them, ``studio`` and ``canvas`` make portraits ready. What needs torch imports it at the top.
"""
