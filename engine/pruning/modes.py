"""A traced program was drawn in evaluation mode; it is to follow the mode that it is in, as the model does."""

from torch import fx

DROPOUT = {"dropout": 2, "dropout1d": 2, "dropout2d": 2, "dropout3d": 2, "alpha_dropout": 2, "feature_alpha_dropout": 2}


def follow_mode(fx_graph: fx.Graph) -> None:
    """Let dropout as a function, written with `self.training`, ask for the mode again."""
    for node in list(fx_graph.nodes):
        place = DROPOUT.get(getattr(node.target, "__name__", "")) if node.op == "call_function" else None
        if place is None or (node.args[place] if place < len(node.args) else node.kwargs.get("training")) is not False:
            continue
        with fx_graph.inserting_before(node):
            mode = fx_graph.create_node("get_attr", "training")
        if place < len(node.args):
            node.args = (*node.args[:place], mode, *node.args[place + 1 :])
        else:
            node.kwargs = {**node.kwargs, "training": mode}
