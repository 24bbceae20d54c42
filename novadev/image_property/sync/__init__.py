"""The request spec made to say what the cell stores: planned and applied."""

ACTION = "image-property sync"
