"""An instance on its host, with everything that the process of the host needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from novadev.nova.attachments import Attachments


@dataclass(frozen=True)
class HostedInstance:
    """An instance, the host it is on, and what Nova's databases say of it.

    ``attachments`` is None where no database was read; then ``cell`` is empty, and the states are
    None, and ``name`` is empty. ``named`` says that it was named on the command line.
    """

    uuid: str
    name: str
    host: str
    named: bool = False
    cell: str = ""
    vm_state: str | None = None
    task_state: str | None = None
    has_config_drive: bool = False
    attachments: Attachments | None = None
