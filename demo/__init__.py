"""A small deployment to try novadev on."""
