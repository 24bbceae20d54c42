"""docs/rules.rst has every rule of novadev/rules, with its severity, and every value."""

import ast
import re

import pytest

from novadev.nova.image_properties import PROPERTIES
from novadev.rules.property_faults import NO_EFFECT
from tests.docs.test_generated import DOCS, ROOT

PAGE = (DOCS / "rules.rst").read_text()
ROW = re.compile(r"   \* - (.+)\n     - (.+)\n")


def calls() -> list[ast.Call]:
    files = sorted((ROOT / "novadev" / "rules").glob("*.py"))
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    return [
        node
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Fault", "_fault", "_on_wrong_bus", "_use_virtio")
        and isinstance(node.args[0], ast.Constant)
    ]


def severity(call: ast.Call) -> str:
    words = [argument.value for argument in call.args[1:] if isinstance(argument, ast.Constant)]
    words += [item.value.value for item in call.keywords if isinstance(item.value, ast.Constant)]
    return "warning" if "warning" in words else "error"


RULES = {
    (argument.value, severity(call))
    for call in calls()
    if isinstance(argument := call.args[0], ast.Constant)
}
TOLD = {
    (name.strip("`"), severity)
    for name, severity in ROW.findall(PAGE)
    if severity in ("error", "warning")
}


def test_the_rules_are_found() -> None:
    assert {("fdc", "error"), ("lun-local", "warning"), ("no-effect", "warning")} <= RULES
    assert len(RULES) > 20


def test_the_page_has_every_rule_and_no_other() -> None:
    assert TOLD == RULES


@pytest.mark.parametrize("name", NO_EFFECT)
def test_property_without_effect_is_told_with_its_source(name: str) -> None:
    source = NO_EFFECT[name].partition("(")[2].rstrip(")")
    assert re.search(rf"   \* - ``{name}``\n     - .+\n     - {re.escape(source)}\n", PAGE)


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_has_its_values(name: str) -> None:
    rows = [values for names, values in ROW.findall(PAGE) if f"``{name}``" in names]
    assert ", ".join(PROPERTIES[name].values) in rows
