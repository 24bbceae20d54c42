"""What ``audit`` makes of the options of a rehearsal, and of its host beside other checks."""

import pytest

from novadev.audit.checks import choose
from tests.command import novadev


@pytest.mark.parametrize(
    "option",
    ["--allow-busy", "--max-shapes=500", "--timeout=5", "--parallel=1", "--shapes=x.json"],
)
def test_an_option_of_a_rehearsal_needs_its_host(option: str) -> None:
    result = novadev(None, "audit", "--all", option)
    assert result.code == 4
    assert f"{option.partition('=')[0]} needs --rehearse HOST" in result.err


def test_who_names_a_host_gets_the_rehearsal_beside_other_checks() -> None:
    """Without it, no host would be asked for the definitions that are rehearsed."""
    chosen = {check.name for check in choose(["disk-bus"], has_target=False, has_stage=True)}
    assert chosen == {"disk-bus", "rehearsal", "unreachable"}
    chosen = {check.name for check in choose(["disk-bus"], has_target=False)}
    assert chosen == {"disk-bus", "unreachable"}
