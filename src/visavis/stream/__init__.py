"""Live sessions: sound in at any pace, frames and sound out on the grid."""
