"""`novadev schema`: a schema for every command that prints JSON, and real output that fits it."""

import json
import re
import shlex

import click
import pytest

from novadev.cli.schema import DOCUMENTS, RECORDS, schema_of
from tests import domains, schemas
from tests.cloud import Cloud
from tests.command import novadev
from tests.deployments import sqlite_cloud
from tests.docs.test_commands import COMMANDS
from tests.docs.test_generated import DOCS

VOLUME = "0f8fad5b-d9cb-469f-a165-70867728950e"
TYPED = {
    "apply": "apply {plan} --dry-run",
    "audit": "audit --all",
    "device alias-migrate": "device alias-migrate {guest} --no-database --dry-run --diff",
    "device detach": "device detach {guest} vdb --dry-run --force",
    "device drift": "device drift {guest}",
    "device export": "device export {guest}",
    "device forecast": "device forecast {guest}",
    "device history": "device history {guest}",
    "device import": "device import {export} --dry-run",
    "device list": "device list {guest}",
    "device list --long": "device list --long {guest}",
    "device pin": "device pin {guest}",
    "device record": "device record {guest}",
    "device restore": "device restore {guest} --dry-run",
    "device show": "device show {guest}",
    "device unpin": "device unpin {guest}",
    "doctor": "doctor",
    "history": "history",
    "history RUN": "history 1",
    "image-property list": "image-property list --all",
    "image-property list --wide": "image-property list --all --wide",
    "image-property set": "image-property set --property hw_vif_model=virtio --all --dry-run",
    "image-property show": "image-property show {guest} hw_vif_model",
    "image-property sync": "image-property sync --all --dry-run",
    "image-property unset": "image-property unset --property hw_vif_model {guest} --dry-run",
    "machine-type set": "machine-type set pc-q35-7.2 {guest} --dry-run",
    "plan show": "plan show {plan}",
    "resume": "resume --dry-run",
    "stash-defaults": "stash-defaults --all --dry-run",
    "undo": "undo 1 --dry-run",
}
"""What is typed for a document of each command."""


def place(slot: int) -> str:
    return f'<address type="pci" domain="0x0000" bus="0x00" slot="{slot:#04x}" function="0x0"/>'


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """One deployment for all tests: what one of them types changes nothing another looks at."""
    return sqlite_cloud("34", tmp_path_factory.mktemp("cloud"))


@pytest.fixture(scope="module")
def words(cloud: Cloud) -> dict[str, str]:
    """A guest of the cloud on libvirt's test driver, a record, a run and a saved plan."""
    guest = cloud.add_instance(host="cmp1", hw_vif_model="e1000")
    cloud.add_disk(guest)
    disks = [domains.disk("vda"), domains.disk("vdb", serial=VOLUME)]
    disks = [disk.replace("</disk>", f"{place(slot)}</disk>") for slot, disk in enumerate(disks, 4)]
    xml = domains.domain(guest, disks=disks)
    node, plan, export = (cloud.folder / name for name in ("node.xml", "a.plan", "guest.json"))
    node.write_text(f"<node>{xml}</node>".replace('<domain type="qemu"', '<domain type="test"'))
    with cloud.config_file.open("a") as file:
        file.write(f"libvirt_uri = test://{node}?of={{host}}\n")
    set_model = "image-property set --property hw_vif_model=rtl8139 {0} --no-request-spec --yes"
    set_bus = "image-property set --property hw_vif_model=virtio {0} --plan-out {1}"
    for line in (set_model, set_bus, "device record {0}", "device export {0} -o {2}"):
        result = novadev(cloud, *shlex.split(line.format(guest, plan, export)))
        assert result.code == 0, (line, result.out, result.err)
    return {"guest": guest, "plan": str(plan), "export": str(export)}


def test_every_command_with_a_json_output_has_a_schema() -> None:
    prints = {
        name.removeprefix("novadev ")
        for name, command in COMMANDS.items()
        for param in command.params
        if isinstance(param.type, click.Choice) and "json" in param.type.choices
    }
    assert prints <= {*RECORDS, *DOCUMENTS}
    assert {*RECORDS, *DOCUMENTS} == set(TYPED)


@pytest.mark.slow
def test_each_document_fits_its_schema(cloud: Cloud, words: dict[str, str]) -> None:
    """Of every command; one that is made up of nothing would hold for anything."""
    empty = []
    for command, line in TYPED.items():
        typed = shlex.split(line.format(**words))
        typed += [] if line.startswith("device export") else ["-f", "json"]
        assert schemas.command_of(typed) == command
        result = novadev(cloud, *typed)
        assert result.out, (line, result.err)
        document = json.loads(result.out)
        schemas.validator(command).validate(document)
        content = document if isinstance(document, list) else document.get("plans", [document])
        empty += [command] * (not content)
    assert set(empty) <= {"device drift", "device history", "device forecast", *NOTHING_PLANNED}


NOTHING_PLANNED = {"device import", "device restore", "resume"}


@pytest.mark.parametrize(
    "command", [name for name in TYPED if name in RECORDS and not name.startswith("device ")]
)
@pytest.mark.slow
def test_json_lines_are_the_items_of_the_array(
    cloud: Cloud, words: dict[str, str], command: str
) -> None:
    typed = shlex.split(TYPED[command].format(**words))
    array = novadev(cloud, *typed, "-f", "json").json
    lines = novadev(cloud, *typed, "-f", "jsonl").out.splitlines()
    assert array
    assert [re.sub("answered in [0-9.]+ s", "", line) for line in lines] == [
        re.sub("answered in [0-9.]+ s", "", json.dumps(item)) for item in array
    ]


def test_a_document_is_one_line_of_json_lines(sqlite_cloud: Cloud, words: dict[str, str]) -> None:
    sqlite_cloud.add_instance(vm_state="active")
    for command in ("image-property set", "resume", "plan show"):
        typed = shlex.split(TYPED[command].format(**words))
        (line,) = novadev(sqlite_cloud, *typed, "-f", "jsonl").out.splitlines()
        assert json.loads(line) == novadev(sqlite_cloud, *typed, "-f", "json").json
    assert json.loads(line)["plans"]


def test_a_key_that_is_missing_or_new_does_not_fit() -> None:
    record = dict.fromkeys(schema_of("device pin")["$defs"]["PinnedDevice"]["properties"], "")
    fit = schemas.validator("device pin")
    good = [record | {"pinned": True, "changed": False}]
    assert fit.is_valid(good)
    assert not fit.is_valid([good[0] | {"more": 1}])
    assert not fit.is_valid([{key: value for key, value in good[0].items() if key != "name"}])


def test_a_command_without_a_schema_gets_a_near_name() -> None:
    result = novadev(None, "schema", "devise", "list")
    assert result.code == 4
    assert "Did you mean 'device list'?" in result.err
    assert novadev(None, "schema").out.split("\n")[:-1] == sorted([*TYPED, "capabilities-file"])
    printed = novadev(None, "schema", "device", "list", "--long").json
    assert printed == schema_of("device list --long")
    assert "``novadev schema" in (DOCS / "json.rst").read_text()


def test_an_option_that_schema_does_not_have_is_told_as_one() -> None:
    result = novadev(None, "schema", "device", "list", "-f", "json")
    assert result.code == 4
    assert "schema has no option '-f'" in result.err
    assert "novadev schema device list" in result.err
    assert "Did you mean" not in result.err
