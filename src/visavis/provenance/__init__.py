"""Where a video comes from, said in the file and in the picture, and who agreed to it."""
