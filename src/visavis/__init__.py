"""Visavis: one portrait and a voice become a person who speaks to you."""

__version__ = "0.1.0"
