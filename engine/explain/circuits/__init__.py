"""The circuit of a task: which edges, from channel to channel, the task relies on, checked by cutting all others.

`edges` makes a network whose edges can be cut and scores them; `selecting` finds the fewest edges that keep most of
what a task has learned; `checking` cuts for real; `circuits` puts them together. `tables` and `overlaps` read and
compare the stored tables and need no torch.
"""
