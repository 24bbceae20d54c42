"""The commands of an audit: one for many servers, in an order that works, as a shell takes them."""

import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from novadev.audit import remedies
from novadev.audit.commands import MAX_WORDS, lines_of
from novadev.audit.finding import Finding, Needs
from novadev.audit.finding_store import Collected
from tests.audit.collecting import FINDING


def found(remedy: str | None, uuid: str, needs: Needs = "command") -> Finding:
    return replace(FINDING, instance=uuid, remedy=remedy, needs=needs)


def script(findings: Iterable[Finding]) -> list[str]:
    with Collected() as collected:
        for finding in findings:
            collected.add(finding)
        return [
            line
            for command in collected.commands()
            for line in lines_of(command, collected.servers(command))
        ]


def run(lines: list[str], folder: Path) -> list[str]:
    """What a shell ran: each call of novadev with its arguments and what it could read."""
    program = folder / "novadev"
    program.write_text('#!/bin/sh\necho "$*"\ncase "$*" in *--from-file*) cat ;; esac\n')
    program.chmod(0o755)
    ended = subprocess.run(
        ["bash"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("number", [1, MAX_WORDS, MAX_WORDS + 1, 500])
def test_one_command_serves_many_servers(number: int, tmp_path: Path) -> None:
    uuids = [f"{n:08x}-34b9-45df-9e77-69b10f4205b4" for n in range(number)]
    told = run(script(found(remedies.sync(uuid), uuid) for uuid in uuids), tmp_path)
    if number <= MAX_WORDS:
        assert told == [" ".join(("image-property sync --yes", *uuids))]
    else:
        assert told == ["image-property sync --yes --from-file -", *uuids]


def test_what_others_stop_at_goes_first_and_a_record_last(tmp_path: Path) -> None:
    made = [
        remedies.record("u"),
        remedies.alias_migrate("u", whole=False),
        remedies.sync("u"),
        remedies.stash("u"),
        remedies.set_machine_type("u", "pc-i440fx-7.2"),
        remedies.set_property("u", "hw_vif_model", "it's; a $(touch trap)"),
        remedies.unset("u", "hw_rng_model"),
        remedies.unset_unreadable("u"),
        remedies.unset_duplicates("u"),
    ]
    told = run(script(found(remedy, "u") for remedy in made), tmp_path)
    verbs = [" ".join(word for word in line.split()[:2] if word[0] != "-") for line in told]
    assert verbs == [
        *("image-property unset", "image-property set"),
        *("image-property unset", "image-property unset"),
        *("machine-type set", "stash-defaults", "image-property sync"),
        *("device alias-migrate", "device record"),
    ]
    assert told[0].endswith("--duplicates u")
    assert told[2].endswith("--unreadable u")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("needs", ["stop", "wait"])
def test_what_has_to_wait_is_a_remark_yet(needs: Needs, tmp_path: Path) -> None:
    lines = script([found(remedies.unset("u", "a"), "u", needs), found(None, "v")])
    assert lines[1:] == [f"# {remedies.unset('u', 'a')}"]
    assert run(lines, tmp_path) == []


def test_no_name_of_a_server_is_in_a_remark() -> None:
    """A shell may take a pasted remark for a command."""
    one = replace(found(remedies.sync("u"), "u"), name="$(reboot)", details="`reboot`")
    assert "reboot" not in "\n".join(script([one]))


def test_unpin_takes_one_server_and_records_it() -> None:
    made = script(found(remedies.unpin(uuid, ["1", "2"]), uuid) for uuid in "ab")
    assert [line for line in made if line[0] != "#"] == [
        f"novadev device unpin {uuid} 1 2 && novadev device record {uuid}" for uuid in "ab"
    ]
