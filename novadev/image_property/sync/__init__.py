"""The request spec made to say what the cell stores: planned and applied."""

ACTION = "image-property sync"
NO_IMAGE = "the request spec holds no image: novadev image-property sync writes one"
"""What plans say that change properties of such a server in the cell."""
