"""Training code: needs torch (extra `train`); nothing in the plain install imports it."""
