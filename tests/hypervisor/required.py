"""The option `--require-hypervisor`: a test that would be skipped fails.

Every skip of this suite says that the machine cannot have the hypervisor that the test needs. Where
a change is accepted, that is no reason to leave the test out.
"""

from collections.abc import Generator

import pytest

OPTION = "--require-hypervisor"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        OPTION, action="store_true", help="fail the tests that have no hypervisor to run on"
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the report of a skipped test into that of a failed one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption(OPTION):
        reason = call.excinfo.value if call.excinfo else "skipped"
        report.outcome = "failed"
        report.longrepr = f"{OPTION} lets no test be skipped: {reason}"
    return report
