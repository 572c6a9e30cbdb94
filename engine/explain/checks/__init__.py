"""Checks of an explanation: ablation, deletion, shuffled weights, and the badge that sums them up."""
