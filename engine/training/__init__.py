"""The one training loop: forward, balanced backward, optimiser step, proximal step.

It yields a record per step and epoch and writes nothing but checkpoints; whoever runs it decides what to keep.
May import: specs, runs (files), graph, sparsity, tasks, networks, pruning, measure.
Start at `engine.training.loop`; `balancing` weighs the tasks, `distributed` runs one training on several processes.
"""
