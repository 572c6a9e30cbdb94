"""Where in the image a channel is active or silent, and which pixels a task relies on.

`engine.explain.maps.making` computes the maps; `engine.explain.maps.store` writes and reads them, without torch.
"""
