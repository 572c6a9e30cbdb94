"""Drawings in the browser: the survival map, the network, the slider of a path (JavaScript, and what sends it data)."""
