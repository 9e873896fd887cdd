"""Schedules, samplers, guidance and consistency maths for NumPy arrays and torch tensors alike."""
