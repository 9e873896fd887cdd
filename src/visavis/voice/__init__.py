"""Text to speech, and whether somebody speaks."""
