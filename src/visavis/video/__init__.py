"""Latent video diffusion: the path of OSA-LCM and LLIA. Needs torch; the plain path never does."""
