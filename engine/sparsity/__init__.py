"""The method: groups of weights, penalties on them, the proximal step that makes exact zeros, and their strength.

A penalty has its value, its proximal step and its violation of optimality side by side, so that tests hold one
against the other.
May import: graph.
Start at `engine.sparsity.groups`, then `engine.sparsity.penalties` and `engine.sparsity.proximal`.
"""
