"""The request spec made to say what the cell stores: planned and applied."""

ACTION = "image-property sync"
NO_IMAGE = "the request spec has no image (novadev image-property sync adds it)"
"""What plans say that change properties of such a server in the cell."""
