"""What a run is put through to see whether it survives, and what came of it."""
