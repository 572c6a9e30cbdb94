"""What several pages use: the address, the run bar, captions, the selection."""
