"""What a compute host is and how it is configured: saved there, and read elsewhere."""
