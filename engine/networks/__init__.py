"""Networks of our own: one trunk that all tasks share, and a head for each task.

Everything else in the engine works on any model whose forward returns {task: tensor}; these are what `winnow train`
builds.
May import: specs, tasks.
Start at `engine.networks.multitask`.
"""
