"""Which task relies on which channel, and whether that answer holds.

`relevance` attributes, `usage` turns relevance into shares and labels, `checks` tests it against ablation, `maps`
shows where in the image, `circuits` finds the edges that a task needs. The modules that only turn tables into tables
(`usage`, `checks.badges`, `checks.agreement`, `checks.overlap`, `circuits.tables`, `maps.store`) need no torch, so that
pages and studies import them.
May import: specs, runs, graph, sparsity, tasks, training (batches).
Start at `engine.explain.relevance`, then `engine.explain.faithfulness`.
"""
