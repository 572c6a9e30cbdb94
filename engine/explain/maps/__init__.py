"""Where in the image: what a channel answers to and where it is silent, and which pixels a task relies on.

`making.spatial` computes it, `engine.explain.maps.store` writes and reads it.
"""
