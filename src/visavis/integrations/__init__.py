"""Adapters to other people's live frameworks, each one thin file round a Session."""
