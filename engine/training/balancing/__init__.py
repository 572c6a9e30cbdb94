"""Task balancing: how the losses or gradients of the tasks are combined."""
