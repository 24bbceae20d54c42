"""The last part of the demo: what will break or change, and the commands that mend it."""

from demo.shell import run, say


def walk() -> None:
    """Walk through an audit, its commands, and another audit."""
    say("What will break or change at the next power-on, and what to run?")
    run("novadev audit --all", 3, "there are failures")
    say("Its commands, one for all the servers that need the same, given to a shell:")
    run("sh -c 'novadev audit --all --format commands | sh'")
    say("Again. What is left is for a person to decide.")
    run("novadev audit --all", 3, "there are failures")
