"""Which channel of which shared layer each task relies on.

**What a cell is.** A cell (layer, channel) is what the layer `layer`, a convolution or a linear layer, reads from its
input channel `channel`: the input group W[:, channel] of `engine.sparsity.groups.input_groups`, under the same two
names, so that a channel on the survival map and a cell here are the same. Relevance is measured, and channels are
removed, at the *input* of the layer and for this reader only: a residual path around it stays as it is. So

- a zero group has relevance exactly 0, and removing it changes exactly nothing: "surviving" means the same everywhere;
- removing a cell with fill "zero" is the same as setting the group W[:, channel] to zero;
- relevance and ablation are about the same intervention, so that one can be compared with the other.

One layer is not a reader: `trunk`, the *output* of the shared module, which all heads read. It has no group of its own,
but it is where the tasks part. Any other module that is named is measured at its output too.

**What is measured**: per image, the contribution of a cell to each task's loss, or to its output as one number
(`engine.explain.relevance.objectives`), without its sign; then the mean over images, because contributions to different
images must not cancel. Contributions of different positions do cancel in `taylor` and do not in `taylor_positions`;
`engine.explain.relevance.taylor` says why the first is closer to ablation. These two are ours; all others are
Captum's, in `engine.explain.relevance.captum_methods`.

Start at `engine.explain.relevance.relevance`.
"""
