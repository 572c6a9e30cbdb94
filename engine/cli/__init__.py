"""The command `winnow`: train, follow, prune, explain, export, study, list.

It only writes specs, starts workers and reads run folders.
May import: specs, runs, studies, and the torch-free tables of explain. No torch, at any depth.
Start at `engine.cli.main`.
"""
