"""The spec of the RPM and the page that says how to build it."""

import re
from pathlib import Path

from tests.docs.test_generated import DOCS, ROOT

SPEC = (ROOT / "packaging" / "novadev.spec").read_text()
PROVIDED = {"pkgconfig": "pkgconf"}
"""What RHEL's packages provide under another name."""


def required() -> set[str]:
    """Return what the build needs, with the Python of RHEL 9."""
    found = re.findall(r"^BuildRequires: +(.+)$", SPEC, re.MULTILINE)
    names = {name.split()[0] for line in found for name in line.split(",")}
    [python] = re.findall(r"^%global python3_pkgversion ([\d.]+)$", SPEC, re.MULTILINE)
    return {PROVIDED.get(name, name).replace("%{python3_pkgversion}", python) for name in names}


def test_the_page_installs_what_the_build_of_the_rpm_needs() -> None:
    page = (DOCS / "install.rst").read_text().replace("\\\n", " ")
    [line] = re.findall(r"dnf install rpm-build (.*)", page)
    assert set(line.split()) == required()


def test_the_python_of_the_build_is_new_enough() -> None:
    project = Path(ROOT / "pyproject.toml").read_text()
    [oldest] = re.findall(r'^requires-python = ">=([\d.]+)"', project, re.MULTILINE)
    assert f"-devel >= {oldest}" in SPEC
