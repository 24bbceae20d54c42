"""The releases of Nova that the cloud can run; all that depends on the release is here.

keystone, placement, glance and the `openstack` client are those of the newest release in any case.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cloud.places import ENVIRONMENT, FOLDER

VARIABLE = "NOVADEV_CLOUD_RELEASE"
NEWEST = "34"


@dataclass(frozen=True)
class Release:
    """A release of Nova.

    `environment` is what `tools/setup cloud RELEASE` made of the file `lock`. `api` is the WSGI
    application of its API: a module with one, or MODULE:FUNCTION for what makes one.
    """

    number: str
    environment: Path
    lock: Path
    api: str


_HERE = Path(__file__).parent
RELEASES = {
    NEWEST: Release(NEWEST, ENVIRONMENT, _HERE / "nova.txt", "nova.wsgi.osapi_compute"),
    "28": Release(
        "28",
        FOLDER / "nova-28",
        _HERE / "nova-28.txt",
        "nova.api.openstack.compute.wsgi:init_application",
    ),
}
WANTED = os.environ.get(VARIABLE) or NEWEST
NOVA = RELEASES.get(WANTED, RELEASES[NEWEST])
"""What runs; `run.py` refuses a release that is not there."""
LOCKS = tuple(dict.fromkeys((RELEASES[NEWEST].lock, NOVA.lock)))
"""The lock files of all that runs."""
