"""The machine type of instances, changed together with what it takes along."""

ACTION = "machine-type set"
