"""The report of runs and studies: one HTML file, and a zip with its numbers."""
