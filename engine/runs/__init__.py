"""The run folder: the only thing that the dashboard, the command line and the worker processes share.

Create, list and find runs; read status, events, norms and tables; ask a live run to stop; start its process.
May import: specs. No torch, at any depth.
Start at `engine.runs.work_folder`, what all folders of work share, then `engine.runs.run`.
"""
