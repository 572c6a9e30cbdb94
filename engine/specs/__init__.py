"""What may be asked for: frozen records for runs, data, networks, penalties, prunings, explanations and studies.

A spec checks its own values, is written into the run folder as JSON, and says everything that decides the result.
May import: `winnow.data` alone. No torch, at any depth.
Start at `engine.specs.train`, the spec of a training run; `engine.specs.frozen` holds what all specs share.
"""
