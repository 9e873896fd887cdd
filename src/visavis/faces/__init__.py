"""Photograph to a checked, landmarked portrait."""
