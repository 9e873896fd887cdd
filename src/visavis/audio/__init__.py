"""Sound to features on a regular grid."""
