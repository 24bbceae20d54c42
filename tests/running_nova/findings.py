"""What an audit finds of a server, and the commands that it gives."""

import shlex
from typing import Any

from tests.running_nova.nova import Server


def findings(server: Server, code: int = 0) -> dict[str, Any]:
    """What an audit finds of a server, by the check; it ends with CODE, 3 after a failure."""
    found = server.nova.novadev("audit", server.uuid, "-f", "json", code=code).json
    return {item["check"]: item for item in found}


def remedy(server: Server, finding: Any) -> None:
    """Run the command that a finding has."""
    program, *words = shlex.split(finding["remedy"])
    assert program == "novadev"
    server.nova.write(*words)
