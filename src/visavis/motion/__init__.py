"""Speech features to face and head motion in ARKit's space."""
