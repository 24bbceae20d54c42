"""What an audit could not ask: a finding, a number and a line of the report, and never silence."""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from novadev.audit.guest import inspect
from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.virt.asking import Answer
from novadev.virt.pool import Pool
from novadev.virt.refusals import of_host
from tests import domains
from tests.audit.auditing import checks, healthy
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import reach
from tests.device.rig import volume_id
from tests.device.site import Site
from tests.hypervisor import Hypervisor

STORED = ("--check", "no-effect")


def audited(cloud: Cloud, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings; of what was not asked, the metric and the report say all."""
    page = cloud.folder / "audit.html"
    result = novadev(cloud, "audit", "-f", "json", "--report", str(page), *arguments)
    found: list[dict[str, Any]] = result.json
    unasked = [item for item in found if item["check"] == "unreachable"]
    assert all(item["severity"] == "failure" for item in unasked)
    assert noted(page) == [item["details"] for item in unasked]
    counted = novadev(cloud, "audit", "-f", "prometheus", *arguments)
    assert counted.code == result.code
    assert f"\nnovadev_audit_unreachable {len(unasked)}\n" in counted.out
    return result.code, found


def noted(page: Path) -> list[str]:
    """What the report says first: the reasons why not everything could be asked."""
    note = page.read_text().partition("Not everything could be checked")[2].partition("</ul>")[0]
    return [html.unescape(reason) for reason in re.findall("<li>(.*)</li>", note)]


def statement(cloud: Cloud, text: str) -> None:
    with cloud.engine("cell2").begin() as connection:
        connection.exec_driver_sql(text)


def mapped_to(url: str) -> Callable[[Cloud], None]:
    def spoil(cloud: Cloud) -> None:
        given = url.format(cloud.url("cell2"))
        cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=given)

    return spoil


def template_of_no_url(cloud: Cloud) -> None:
    given = cloud.config_file.read_text()
    text = given.replace(
        f"[database]\nconnection = {cloud.url('cell1')}", "[database]\nconnection = x://["
    )
    assert text != given
    cloud.config_file.write_text(text)
    mapped_to("{{scheme}}://nova/{{path}}")(cloud)


def errno(number: int) -> str:
    return f"{{}}&init_command=SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO={number}"


FAULTS: dict[str, tuple[str, int, Callable[[Cloud], None]]] = {
    "no file": ("sqlite", 8, lambda cloud: (cloud.folder / "cell2.sqlite").unlink()),
    "no url": ("sqlite", 8, mapped_to("nonsense")),
    "no driver": ("sqlite", 8, mapped_to("postgresql://h/nova")),
    "no certificate": ("sqlite", 8, mapped_to("mysql://h/nova?ssl_ca=/nowhere")),
    "no option": ("sqlite", 8, mapped_to("mysql://h/nova?plugin=sqlcommenter")),
    "no number": ("mariadb", 8, mapped_to("{}&read_timeout=" + "9" * 30)),
    "no url for the template": ("sqlite", 8, template_of_no_url),
    "Galera": ("mariadb", 8, mapped_to(errno(1047))),
    "an error of no known number": ("mariadb", 8, mapped_to(errno(1030))),
    "schema": (
        *("sqlite", 3),
        lambda cloud: statement(cloud, "ALTER TABLE instances RENAME COLUMN vm_state TO state"),
    ),
    "schema amid the work": (
        *("sqlite", 3),
        lambda cloud: statement(cloud, "DROP TABLE block_device_mapping"),
    ),
}


@pytest.mark.parametrize(
    ("backend", "code", "spoil"), [pytest.param(*fault, id=name) for name, fault in FAULTS.items()]
)
def test_a_cell(
    make_cloud: Callable[[str, str], Cloud],
    backend: str,
    code: int,
    spoil: Callable[[Cloud], None],
) -> None:
    cloud = make_cloud(backend, "34")
    here = healthy(cloud, hw_rng_model="virtio")
    there = healthy(cloud, cell="cell2", name="web-2")
    spoil(cloud)
    for chosen in (["--all"], [here, there]):
        ended, found = audited(cloud, *STORED, *chosen)
        assert ended == code
        lost, other = sorted(found, key=lambda item: item["instance"] is not None)
        assert (other["check"], other["instance"]) == ("no-effect", here)
        assert (lost["check"], lost["instance"]) == ("unreachable", None)
        assert lost["details"].startswith("cell cell2")
        assert lost["cell"] == cloud.rows("cell_mappings", "api", name="cell2")[0]["uuid"]


def test_a_host_that_no_uri_leads_to(sqlite_cloud: Cloud) -> None:
    """Once for all of its guests, and each host by its name."""
    with sqlite_cloud.config_file.open("a") as file:
        file.write("\n[novadev]\nlibvirt_uri = nonsense://{host}/system\n")
    for number, host in enumerate(("cmp 1", "cmp 1", "cmp2", "cmp2", "cmp2")):
        healthy(sqlite_cloud, name=f"web-{number}", host=host)
    code, found = audited(sqlite_cloud, "--all", "--check", "alias", "--check", "unknown-domain")
    assert code == 8
    assert [item["host"] for item in found] == ["cmp 1", "cmp2"]
    assert {item["check"] for item in found} == {"unreachable"}
    assert all(item["host"] in item["details"] for item in found)


def test_a_host_whose_rules_cannot_be_read(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Once, however many guests it has; they are checked all the same."""
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {tmp_path}\n")
    (tmp_path / "cmp2.json").write_text("{}")
    for number, host in enumerate(("cmp1", "cmp2", "cmp2")):
        healthy(sqlite_cloud, name=f"web-{number}", host=host, hw_rng_model="virtio")
    code, found = audited(sqlite_cloud, "--all", *STORED)
    (lost,) = (item for item in found if item["check"] == "unreachable")
    assert (code, len(found), lost["host"], lost["instance"]) == (8, 4, "cmp2", None)
    assert str(tmp_path / "cmp2.json") in lost["details"]


def test_records_that_cannot_be_read(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\nstate_connection = sqlite:///{tmp_path}\n")
    code, (lost,) = audited(sqlite_cloud, "--all", "--check", "drift")
    assert (code, lost["check"], lost["host"]) == (8, "unreachable", None)
    assert "state database" in lost["details"]


def test_a_host_that_is_lost_in_the_middle(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One finding of the host, which names none of its guests, and the number of those unseen."""
    for _ in range(4):
        sqlite_cloud.add_instance(host="cmp1")

    def lose(_pool: Pool, function: Any, work: Any) -> Iterator[Answer[Any]]:
        errors: list[NovadevError] = [NotFound("no domain"), lost_with("guest")]
        for asked in work.get("cmp1", ()) if function is inspect else ():
            error = errors.pop(0) if errors else of_host(lost_with("guest"))
            yield Answer("cmp1", asked, error=error)

    monkeypatch.setattr(Pool, "run", lose)
    code, found = audited(sqlite_cloud, "--check", "alias", "--all")
    assert (code, [item["instance"] for item in found]) == (8, [None])
    assert found[0]["details"] == "host cmp1 was lost: Broken pipe"
    result = novadev(sqlite_cloud, "audit", "--check", "alias", "--all")
    assert "4 guests: 1 failure, 0 warnings." in result.err
    assert "3 guests could not be looked at on the host: only what the databases" in result.err
    counted = novadev(sqlite_cloud, "audit", "-f", "prometheus", "--check", "alias", "--all").out
    assert "\nnovadev_audit_guests_unseen 3\n" in counted
    assert (
        "4 looked at, 3 of them only in the databases"
        in (sqlite_cloud.folder / "audit.html").read_text()
    )


def lost_with(uuid: str) -> Unreachable:
    """What is raised where a host is lost while it is asked about a guest."""
    error = Unreachable(f"host cmp1: domain {uuid}: Broken pipe")
    error.of_host = "host cmp1 was lost: Broken pipe"
    return error


@pytest.mark.slow
def test_a_question_that_a_host_does_not_answer(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said which; the guest whose other findings are told is not called unreachable."""
    reach(sqlite_cloud, [hypervisor], timeout=2)
    site = Site(sqlite_cloud, hypervisor)
    uuid = site.add(domains.domain(disks=[domains.disk("vda", serial=volume_id(0))]))
    assert novadev(sqlite_cloud, "device", "record", uuid).code == 0
    more = '<input type="tablet" bus="usb"/>'
    site.handle(uuid).attachDeviceFlags(more, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    asked, ask = [], Pool.run

    def deafen(pool: Pool, function: Any, work: Any) -> Iterator[Any]:
        asked.append(function.__name__)
        if len(asked) > 1:
            hypervisor.pause()
        yield from ask(pool, function, work)
        hypervisor.resume()

    monkeypatch.setattr(Pool, "run", deafen)
    page = sqlite_cloud.folder / "audit.html"
    wanted = ("alias", "drift", "forecast", "unknown-domain")
    words = [word for name in wanted for word in ("--check", name)]
    result = novadev(sqlite_cloud, "audit", *words, "--all", "-f", "json", "--report", str(page))
    assert asked == ["inspect", "see", "predict_power_on", "list_domains"]
    assert (result.code, checks(result.json)) == (8, sorted(wanted))
    lost = [item for item in result.json if item["check"] != "alias"]
    assert noted(page) == [item["details"] for item in lost]
    assert [item["check"] for item in lost] == ["drift", "forecast", "unknown-domain"]
    assert [item["instance"] for item in lost] == [uuid, uuid, None]
    assert all("host cmp1" in item["details"] for item in lost)
