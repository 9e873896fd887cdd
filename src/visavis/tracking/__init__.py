"""A video of a person -> the motion of head and face in it."""
