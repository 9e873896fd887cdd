"""Conversations: hear the user, think of an answer, say it, stop when interrupted."""
