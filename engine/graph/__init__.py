"""The channel graph of any model: which layers write and read each channel, what is tied, and what must stay.

It is traced from the model itself (the model is run and watched) and is the one source for groups, removal and counts.
May import: nothing else of the engine.
Start at `engine.graph.trace`, then `engine.graph.graph`.
"""
