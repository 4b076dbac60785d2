"""The kinds of finding; apart from the rest, because the command checks their names before PyTorch is loaded."""

SEVERITIES = ("fault", "hint", "cost")
KINDS = {
    "leak": "a loss trains a module that another loss, or a copy of other weights, is there to set",
    "stale_gradient": "a step applies a gradient that was left over from before an earlier step",
    "dead_link": "an optimizer steps, and no gradient ever comes to what it holds",
    "drift": "weights or running statistics move though no gradient moves them",
    "applied_twice": "two optimizers apply one gradient, one after the other",
    "unreached": "an optimizer holds what no loss reaches",
    "unheld": "gradients come to what no optimizer holds",
    "self_target": "a network is trained towards a target that it computes itself, in the same graph",
    "cut_term": "a term of a loss trains nothing, because a stop stands before it",
    "constant_gradient": "a gradient enters a later loss as a number that trains nothing",
    "waste": "a gradient is computed, and no step applies it",
    "tracked_target": "a graph is kept for what nobody trains",
}
