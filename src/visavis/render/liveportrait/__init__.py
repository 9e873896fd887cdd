"""LivePortrait's networks behind the renderer protocol (Guo et al., 2024)."""
