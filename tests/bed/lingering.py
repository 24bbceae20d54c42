"""A session that has begun everything tests can begin, and lingers; for test_ending.py alone."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests import domains
from tests.audit.browser import Browser
from tests.cloud import Cloud
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess


def test_lingers(
    mariadb_cloud: Cloud,
    nova: Callable[[Cloud], NovaProcess],
    hypervisor: Hypervisor,
    tmp_path: Path,
) -> None:
    os.kill(nova(mariadb_cloud).pid, signal.SIGSTOP)  # it hangs: the end of its input is nothing
    hypervisor.start(hypervisor.define(domains.domain()).UUIDString())
    with Browser(tmp_path) as browser, browser.page("about:blank"):
        Path(os.environ["NOVADEV_TEST_READY"]).touch()
        time.sleep(600)
