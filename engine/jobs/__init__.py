"""What a worker process does with all the other rooms: train, prune, explain, export, conduct a study.

Only this room writes results into a run folder, through `engine.jobs.writer`.
May import: every room but cli.
Start at `engine.jobs.worker`, then the job of interest: `training_job`, `prune_job`, `explain_job`, `export_job`,
`study_job`.
"""
