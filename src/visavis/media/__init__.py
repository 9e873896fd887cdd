"""Decoding and encoding: the only folder that touches media files named by the user."""
