"""Checks of a data set on disk before a run starts, and what its targets contain."""
