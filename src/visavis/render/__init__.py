"""Portrait and motion to pictures."""
