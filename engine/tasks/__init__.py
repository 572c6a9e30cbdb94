"""What a task is: its loss, the shape of its predictions, and its metrics with unit and direction.

May import: specs, runs for the names of metrics, and `winnow.data` for the description of a data set's fields.
Start at `engine.tasks.task`; `engine.tasks.build` makes the tasks of a data set.
"""
