"""Which channel of which shared layer each task relies on.

**What a cell is.** A cell (layer, channel) is what the layer `layer`, a convolution or a linear layer, reads from its
input channel `channel`: the input group W[:, channel] of `engine.sparsity.groups.input_groups`, under the same two
names, so that a channel chosen on the survival map is the same cell here. Relevance is measured, and channels are
removed, at the *input* of the layer and for this reader only: a residual path around it stays as it is. Three things
follow:

- a zero group has relevance exactly 0, and removing it changes exactly nothing: "surviving" is one thing everywhere;
- removing a cell with fill "zero" is what setting the group W[:, channel] to zero does;
- relevance and ablation speak of the same intervention, so that one can be held against the other.

Beside the readers there is one more layer, `trunk`: the *output* of the shared module, which all heads read. It has no
group of its own, but it is where the tasks part. Any other module that is named is taken at its output too.

**What is measured**: per image, what a cell contributes to each task's loss or to its output as one number
(`engine.explain.relevance.objectives`), without its sign, then the mean over images: contributions to different images
must not cancel. Whether those of different positions may, is what `taylor`, where they do, and `taylor_positions`
differ in; `engine.explain.relevance.taylor` says why the first is nearer to ablation. Both are ours; all that Captum
does stands in `engine.explain.relevance.captum_methods`.
"""
