"""From videos and recordings to the clips that the motion model learns from."""
