"""How fast novadev is: ratios measured in one run, not tests."""
