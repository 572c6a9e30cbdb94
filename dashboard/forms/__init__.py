"""Forms that describe and start runs, studies and jobs; their fields are those of the specs."""
