"""Many runs as one question: which runs there are, how they are scheduled, and the tables that compare them.

May import: specs, runs, and the torch-free tables of explain. No torch, at any depth: the process of a study only
starts other processes.
Start at `engine.studies.plan` (which runs), then `engine.studies.tables` (what comes of them).
"""
