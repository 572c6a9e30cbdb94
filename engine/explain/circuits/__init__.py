"""The circuit of a task: which edges, from channel to channel, the task relies on, checked by cutting all others.

`edges` makes a network whose edges can be cut and scores them; `losses` says how much of a task is left; `selecting`
finds the fewest edges that keep most of it; `checking` cuts for real; `circuits` puts them together. `tables` reads and
compares what is stored, without torch.
"""
