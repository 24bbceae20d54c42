"""Recorded addresses put back: a guest's devices where it had them."""

ACTION = "device restore"
