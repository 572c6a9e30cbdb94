"""What a network costs: parameters, multiply-accumulates, bytes on disk, memory and seconds of a forward pass.

Counts come from torch's own counter; times are taken in turns, so that a busy machine slows all models alike.
May import: graph, sparsity, export, pruning.
Start at `engine.measure.counts`; `engine.measure.comparison` puts several models side by side, and
`engine.measure.bench` says in which form each is fastest, and where its time goes.
"""
