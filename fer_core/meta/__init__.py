"""Meta-learning: a second gradient says how the first should have been taken."""

METAS = ("none", "meta_weight", "maml")
