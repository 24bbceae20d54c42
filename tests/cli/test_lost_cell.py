"""A cell whose database fails amid the work costs that cell alone, in every command."""

from collections.abc import Sequence

import pytest

from novadev import errors
from novadev.runs.plan import Skip
from tests.cloud import Cloud
from tests.command import novadev

SET = ("image-property", "set", "--property", "hw_vif_model=e1000", "--dry-run")
COMMANDS: Sequence[Sequence[str]] = (
    SET,
    ("image-property", "unset", "--property", "hw_vif_model", "--dry-run"),
    ("stash-defaults", "--dry-run"),
    ("machine-type", "set", "--dry-run", "q35"),
    ("device", "alias-migrate", "--dry-run"),
    ("device", "restore", "--dry-run"),
    ("device", "record"),
    ("device", "drift"),
    ("device", "forecast"),
    ("audit", "--check", "no-effect"),
)


def lose_disks(cloud: Cloud) -> None:
    """Let cell1, the first of them, fail after its instances were read."""
    with cloud.engine("cell1").begin() as connection:
        connection.exec_driver_sql("DROP TABLE block_device_mapping")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_next_cell_is_done(sqlite_cloud: Cloud, command: Sequence[str]) -> None:
    """By what is said of its instance, or of that one's host, which no URI leads to."""
    stored = {"hw_vif_model": "virtio", "hw_rng_model": "virtio"}
    sqlite_cloud.add_instance(cell="cell1", host="lost", **stored)
    here = sqlite_cloud.add_instance(cell="cell2", host="cmp2", **stored)
    lose_disks(sqlite_cloud)
    result = novadev(sqlite_cloud, *command, "--vm-state", "stopped")
    told = result.out + result.err
    assert "cell cell1: novadev does not know its schema (no such table: block_" in told
    assert here in told or "has no URI for host cmp2" in told
    assert result.code in (errors.SchemaUnknown.exit_code, errors.Unreachable.exit_code)


def test_a_named_instance_is_named(sqlite_cloud: Cloud) -> None:
    lost, here = sqlite_cloud.add_instance(), sqlite_cloud.add_instance(cell="cell2")
    lose_disks(sqlite_cloud)
    result = novadev(sqlite_cloud, *SET, lost, here, "-f", "json")
    assert result.code == 3
    assert [plan["instance"] for plan in result.json["plans"]] == [here]
    assert [skip["instance"] for skip in result.json["skipped"]] == [lost]


def test_what_could_not_be_looked_at_counts() -> None:
    """A guest in another state, or without a domain, was looked at."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = [kind("because") for kind in kinds if issubclass(kind, errors.NovadevError)]
    for error in raised:
        assert Skip.of(None, error, named=False).failure == error.exit_code
        assert Skip.of("7c9e", error, named=True).failure == error.exit_code
    counted = {error.exit_code for error in raised if Skip.of("7c9e", error, named=False).failure}
    assert counted == {1, 4, 8}
