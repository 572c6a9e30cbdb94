"""Whether the explanations tell the truth, asked where the truth is known.

`network.planted_network(seed)` builds a network for the data set `planted` of which it is known, by construction, which
channel serves which task. `recovery.recovery` holds what `engine.explain.relevance` and `engine.explain.usage` say
about it against that truth.
"""
