"""The capabilities and the configuration of compute hosts, saved there and read elsewhere."""
