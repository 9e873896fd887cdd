"""Ditto's motion model: its published denoiser, windows and controls."""
