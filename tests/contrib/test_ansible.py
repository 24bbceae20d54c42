"""The playbooks: what their tasks run, and what Ansible concludes from what the commands print.

Ansible evaluates ``changed_when`` and ``failed_when`` with Jinja2; the test does the same.
"""

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.cloud import Cloud
from tests.command import novadev

FOLDER = Path(__file__).parents[2] / "contrib" / "ansible"


class Play:
    """A playbook of one play whose first task runs novadev."""

    def __init__(self, name: str, **variables: Any) -> None:
        (play,) = yaml.safe_load((FOLDER / name).read_text())
        self.task, *self.others = play["tasks"]
        self._variables = play.get("vars", {}) | variables
        self._jinja = jinja2.Environment()
        self._jinja.filters["from_json"] = json.loads

    def run(self, cloud: Cloud, is_check: bool = False) -> dict[str, bool]:
        """Run the first task, and return what Ansible would say of it."""
        words = self.words(is_check)
        assert words[:2] == ["novadev", "-q"]
        result = novadev(cloud, *words[2:])
        self.known = {self.task["register"]: {"rc": result.code, "stdout": result.out}}
        return {
            name: self.task[name] and self.evaluate(self.task[name], self.known)
            for name in ("changed_when", "failed_when")
        }

    def words(self, is_check: bool = False) -> list[str]:
        """What the first task runs."""
        asked = self._variables | {"ansible_check_mode": is_check}
        argv = self.task["ansible.builtin.command"]["argv"]
        found = argv if isinstance(argv, list) else self.evaluate(argv.strip()[2:-2], asked)
        return [*found]

    def evaluate(self, expression: str, known: dict[str, Any]) -> Any:
        """Return the value of EXPRESSION."""
        compiled = self._jinja.compile_expression(expression, undefined_to_none=False)
        return compiled(**known)


NOTHING = {"changed_when": False, "failed_when": False}
CHANGED = {"changed_when": True, "failed_when": False}


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yml")))
def test_a_deployment_without_servers_changes_nothing(sqlite_cloud: Cloud, name: str) -> None:
    assert Play(name, novadev_select=["--all"]).run(sqlite_cloud) == NOTHING


def test_a_second_run_changes_nothing(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(image_properties={"hw_vif_model": "e1000"}, vm_state="stopped")
    play = Play("image-property.yml", novadev_select=["--all"])
    assert play.run(sqlite_cloud, is_check=True) == CHANGED
    assert [play.run(sqlite_cloud) for _ in range(2)] == [CHANGED, NOTHING]


@pytest.mark.parametrize(
    ("given", "code", "result"), [("hw_vif_model=none-such", 6, "failed"), ("no-value", 4, None)]
)
def test_a_failed_run_fails_the_task(
    sqlite_cloud: Cloud, given: str, code: int, result: str | None
) -> None:
    """One that prints no document too: the message is what Ansible shows, not an error of JSON."""
    sqlite_cloud.add_instance()
    play = Play("image-property.yml", novadev_property=given)
    assert play.run(sqlite_cloud) == {"changed_when": False, "failed_when": True}
    assert play.known["property"]["rc"] == code
    assert json.loads(play.known["property"]["stdout"] or "{}").get("result") == result


def test_a_check_of_the_defaults_writes_nothing(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None)
    play = Play("stash-defaults.yml")
    assert play.task["check_mode"] is False  # Ansible would skip the command else
    assert "--dry-run" in play.words(is_check=True)
    assert "--yes" in play.words()
    assert not {"--yes", "--dry-run"} <= {*play.words()}
    assert play.run(sqlite_cloud, is_check=True) == NOTHING


def test_an_audit_with_failures_stops_the_play(sqlite_cloud: Cloud) -> None:
    sick = {"hw_disk_bus": "nonsense"}
    sqlite_cloud.add_instance(image_properties=sick, vm_state="shelved_offloaded", host=None)
    play = Play("audit.yml")
    assert play.run(sqlite_cloud)["failed_when"] is False
    (stop,) = play.others
    assert not play.evaluate(stop["ansible.builtin.assert"]["that"], play.known)
    expression = stop["vars"]["novadev_broken"].strip()[2:-2]
    broken = list(play.evaluate(expression, play.known))
    assert {item["check"] for item in broken} == {"stored-value"}
