"""A plan from planning to undo: what will change, who carries it out, what became of it."""
