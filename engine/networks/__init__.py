"""Networks of our own, one trunk that all tasks share and a head for each task; and those that a user brings.

Everything else in the engine works on any model whose forward returns {task: tensor}.
May import: specs, tasks, graph.
Start at `engine.networks.multitask`.
"""
