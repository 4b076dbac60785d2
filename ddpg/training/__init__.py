"""A run from its `settings` to its result: `run` is one seed, `loop` trains it, `resume` takes it up again."""
