"""A preview and what then becomes of the same plans, side by side."""

from collections.abc import Callable
from typing import Any

from tests.command import Result


def kept(run: Callable[..., Result], *words: str) -> Result:
    """Carry out WORDS after a preview that must have told it all; the second result comes back."""
    preview = run(*words, "--dry-run", "-f", "json")
    result = run(*words, "--yes", "-f", "json")
    assert told(preview) == told(result), preview.err + result.err
    assert preview.code == result.code, preview.err + result.err
    return result


def told(result: Result) -> dict[str, Any]:
    """What a document says of each server: what becomes of it, why, and what is left."""
    return {plan["instance"]: _outcome(plan) for plan in result.json["plans"]}


def _outcome(plan: Any) -> tuple[object, ...]:
    left = {item["what"]: item["left"] for item in plan["changes"] if "left" in item}
    state = "applied" if plan["state"] == "planned" else plan["state"]
    error = None if left or state == "applied" else plan["error"]
    return state, error, left, plan["effects"]
