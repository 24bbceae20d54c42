"""The layers of docs/architecture.rst, read from the imports."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import FunctionType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "novadev"

LAYERS = {
    "cli": {
        *("audit", "rehearsal", "doctor", "pages", "image_property", "records", "device"),
        "machine_type",
        *("stash_defaults", "capabilities", "residence", "selection", "deployment", "runs"),
        *("value", "config", "state", "strict_json", "private_file", "nova", "text", "errors"),
    },
    "rehearsal": {"capabilities", "runs", "virt", "text", "errors"},
    "doctor": {
        *("capabilities", "config", "deployment", "database", "runs", "state", "rules", "nova"),
        *("foreign_file", "virt", "grants", "text", "errors"),
    },
    "pages": {
        *("records", "device", "selection", "deployment", "runs", "private_file", "text", "errors"),
    },
    "audit": {
        *("rehearsal", "records", "device", "pages", "stash_defaults", "image_property"),
        "capabilities",
        *("private_file", "residence", "selection", "deployment", "runs", "rules", "nova"),
        *(
            "foreign_file",
            "virt",
            "text",
            "value",
            "strict_json",
            "machine_type",
            "config",
            "state",
            "errors",
        ),
    },
    "machine_type": {
        *("capabilities", "image_property", "selection", "deployment", "runs", "value"),
        *("state", "rules", "nova", "errors"),
    },
    "stash_defaults": {
        *("capabilities", "image_property", "selection", "deployment", "runs", "value"),
        *("state", "rules", "nova", "virt", "errors"),
    },
    "capabilities": {
        *("config", "deployment", "private_file", "strict_json", "rules", "nova", "virt"),
        *("foreign_file", "text", "errors"),
    },
    "image_property": {
        *("capabilities", "selection", "residence", "deployment", "runs", "value", "config"),
        *("rules", "nova", "errors"),
    },
    "compute": {
        *("keep", "records", "device", "virt", "state", "database", "config", "text", "errors"),
    },
    "keep": {"records", "device", "rules", "virt", "errors"},
    "records": {
        *("device", "filters", "selection", "deployment", "config", "runs", "value"),
        *("private_file", "strict_json", "database", "state", "nova", "virt", "errors"),
        "foreign_file",
    },
    "device": {
        *("capabilities", "image_property", "selection", "residence", "deployment", "config"),
        *("runs", "value", "state", "rules", "nova", "virt", "errors"),
    },
    "selection": {"filters", "residence", "deployment", "runs", "nova", "errors"},
    "filters": {"runs", "nova", "errors"},
    "residence": {"deployment", "runs", "nova", "errors"},
    "deployment": {"config", "database", "runs", "state", "nova", "virt", "errors"},
    "runs": {
        *("database", "state", "value", "private_file", "strict_json", "rules", "nova", "virt"),
        "errors",
    },
    "state": {"database", "grants", "errors"},
    "rules": {"nova"},
    "nova": {"grants", "value", "errors"},
    "virt": {"errors"},
    "database": {"mysql", "errors"},
    "mysql": {"errors"},
    "config": {"errors"},
    "strict_json": {"errors"},
    "private_file": {"errors"},
    "foreign_file": {"errors"},
    "grants": set(),
    "text": set(),
    "value": set(),
    "errors": set(),
    "start": {"cli"},
    "__main__": {"start"},
    "__init__": set(),
}
HOMES = {
    "click": {"cli"},
    "rich": {"cli"},
    "yaml": {"cli", "audit"},
    "sqlalchemy": {"nova", "records", "runs", "state", "database", "grants"},
    "pymysql": {"mysql"},
    "alembic": {"state"},
    "oslo_config": {"config"},
    "libvirt": {"virt"},
    "libvirt_qemu": {"virt"},
    "lxml": {"virt"},
    "msgspec": {"strict_json", "nova"},
    "gi": {"rules"},
    "jinja2": {"pages"},
    "nova": {"compute"},
    "oslo_context": {"compute"},
    "oslo_log": {"compute"},
}
NAMES_WITHOUT_A_JOB = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
PLAIN_NOVA = {"nova.block_devices", "nova.image_properties"}
"""Whose dataclasses and values the rules may look at."""


@dataclass(frozen=True)
class Import:
    module: str
    layer: str
    imports: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imports}"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports_of(path: Path, source: str | None = None) -> tuple[Import, ...]:
    """Every import of the module at `path` that runs, wherever it stands in it."""
    tree = ast.parse(path.read_text() if source is None else source)
    module, layer = str(path.relative_to(ROOT)), layer_of(path)
    return tuple(Import(module, layer, name, node.lineno) for node, name in runtime_imports(tree))


def runtime_imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides where it goes"
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
        elif not is_type_checking(node):
            yield from runtime_imports(node)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def named_strings(path: Path) -> Iterator[Import]:
    """Modules named in a string, as "novadev.cli.history:undo", which import_module will get."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name, colon, _ = node.value.partition(":")
            if colon and name.startswith("novadev.") and " " not in name:
                yield Import(str(path.relative_to(ROOT)), layer_of(path), name, node.lineno)


def ours(item: Import) -> str:
    """The layer that an import goes to, empty for one that is not ours or is the version."""
    package, _, rest = item.imports.partition(".")
    if package != "novadev" or rest in ("", "__version__"):
        return ""
    return rest.partition(".")[0]


def wrong_layer(item: Import) -> bool:
    layer = ours(item)
    return bool(layer) and layer != item.layer and layer not in LAYERS[item.layer]


def wrong_home(item: Import) -> bool:
    library = item.imports.partition(".")[0]
    if library == "novadev" or library in sys.stdlib_module_names:
        return False
    return item.layer not in HOMES.get(library, ())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    found = [*imports_of(path), *named_strings(path)]
    assert [str(item) for item in found if wrong_layer(item)] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_has_one_home(path: Path) -> None:
    assert [str(item) for item in imports_of(path) if wrong_home(item)] == []


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("nova/cells.py", "from novadev.selection import Selection", True),
        ("nova/cells.py", "def f():\n    import novadev.cli.output", True),
        ("rules/disks.py", "from novadev.runs import journal", True),
        ("value.py", "from novadev import database", True),
        ("cli/output.py", "from novadev import selection", False),
        ("rules/disks.py", "if TYPE_CHECKING:\n    from novadev.runs import journal", False),
        ("rules/disks.py", "import sqlalchemy", True),
        ("selection/named.py", "from sqlalchemy import select", True),
        ("runs/plan.py", "import requests", True),
        ("cli/output.py", "import csv, click", False),
    ],
)
def test_the_checks_can_fail(module: str, line: str, wrong: bool) -> None:
    found = imports_of(PACKAGE / module, line)
    assert any(wrong_layer(item) or wrong_home(item) for item in found) is wrong


def test_rules_see_plain_dataclasses_of_nova_only() -> None:
    found = [item for path in modules() for item in imports_of(path) if item.layer == "rules"]
    seen = {item.imports.removeprefix("novadev.") for item in found if ours(item) == "nova"}
    assert {name.rpartition(".")[0] for name in seen} <= PLAIN_NOVA


def test_every_part_has_a_layer() -> None:
    assert {layer_of(path) for path in modules()} == set(LAYERS)


def test_no_module_without_a_job() -> None:
    names = {part.removesuffix(".py") for path in modules() for part in path.parts}
    assert names & NAMES_WITHOUT_A_JOB == set()


@pytest.mark.parametrize(
    "command",
    [[], ["image-property", "set"], ["undo"], ["device", "show"], ["capabilities", "save"]],
)
def test_help_loads_no_heavy_library(command: list[str]) -> None:
    program = (
        "import sys; from novadev.cli import run; run(sys.argv[1:]);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"], capture_output=True, text=True
    )
    loaded = set(result.stderr.split())
    assert "click" in loaded
    heavy = {"sqlalchemy", "rich", "yaml", "oslo_config", "alembic", "lxml", "gi", "msgspec"}
    assert loaded & heavy == set()


def test_the_page_has_the_same_layers() -> None:
    page = (ROOT / "docs" / "architecture.rst").read_text()
    table = page.partition("Who may import whom")[2].partition("An import that serves only")[0]
    told: dict[str, set[str]] = {}
    for parts, allowed in zip(*[iter(cells(table))] * 2, strict=True):
        names = {name.strip() for name in allowed.replace("(its plain dataclasses)", "").split(",")}
        for part in parts.replace("``", "").split(","):
            told[part.strip()] = names - {"nothing of novadev"}
    assert told == {layer: LAYERS[layer] for layer in told}
    assert set(LAYERS) - set(told) == {"start", "__main__", "__init__"}


def test_the_forms_of_a_device_are_there() -> None:
    page = (ROOT / "docs" / "architecture.rst").read_text()
    table = page.partition("One device, from the definition")[2].partition("What is done with")[0]
    forms = [
        name for cell in cells(table)[::2] for name in re.findall("``([a-z_.]+[A-Za-z]+)``", cell)
    ]
    assert "records.device.VmDevice" in forms
    for form in forms:
        module, _, name = form.rpartition(".")
        assert hasattr(importlib.import_module(f"novadev.{module}"), name), form


def cells(table: str) -> list[str]:
    """The cells of a list-table without its head."""
    starts = ("   * - ", "     - ")
    return [line[7:] for line in table.splitlines() if line.startswith(starts)][2:]


def starred(page: str) -> Iterator[str]:
    """The modules of the layout with a star, each after its packages."""
    packages: list[str] = []
    for line in page.splitlines():
        branch, drawn, text = line.partition("── ")
        words = text.split()
        if not drawn or not words:
            continue
        del packages[(len(branch) - 4) // 4 :]
        if words[0].endswith("/"):
            packages.append(words[0].removesuffix("/"))
        for word, mark in pairwise(words):
            if word.endswith(".py") and mark == "*":
                yield ".".join((*packages, word.removesuffix(".py")))


def in_a_hosts_process() -> list[str]:
    """The modules with a star, and those that the layout gives in words."""
    kinds = ("device.alias", "device.detach")
    names = [f"{kind}.{part}" for kind in kinds for part in ("guest", "writing")]
    return [*starred((ROOT / "docs" / "architecture.rst").read_text()), *names]


def test_what_runs_in_a_hosts_process_is_light() -> None:
    names = in_a_hosts_process()
    known = {"device.show_on_host", "device.alias.writing", "stash_defaults.hardware"}
    assert known | {"records.on_host", "audit.guest"} <= set(names)
    program = "import sys; " + "; ".join(f"import novadev.{name}" for name in names)
    program += "; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(result.stdout.split())
    assert "libvirt" in loaded, result.stderr
    assert loaded & {"sqlalchemy", "click", "oslo_config", "alembic", "msgspec"} == set()


def test_what_is_asked_of_hosts_is_in_such_modules() -> None:
    """A function is found by the name of its module, which the host's process then imports."""
    light = {f"novadev.{name}" for name in in_a_hosts_process()}
    asked = dict(asked_of_hosts())
    assert {"inspect", "read_devices", "list_guests"} <= set(asked)
    heavy = {
        name: module for name, module in asked.items() if not module.startswith("novadev.virt")
    }
    assert {name: module for name, module in heavy.items() if module not in light} == {}


def asked_of_hosts() -> Iterator[tuple[str, str]]:
    """Each function that a module hands to the pool by its own name, and where that is."""
    for path in sorted((ROOT / "novadev").rglob("*.py")):
        text = path.read_text()
        parts = path.relative_to(ROOT).with_suffix("").parts
        for words in re.findall(r"hosts\.(?:run\(|call\(\s*[\w.]+, )([\w.]+)", text):
            found: object = importlib.import_module(".".join(parts))
            for word in words.split("."):
                found = getattr(found, word, None)
            if isinstance(found, FunctionType):
                yield found.__qualname__, found.__module__


RULE_TERMS = {
    "is it Windows": (r"microsoft\.com|\"windows\"|mswin", 'startswith("mswin")', set[str]()),
    "the x86 architectures": (
        r"\"i686\", \"x86_64\"|\"x86_64\", \"i686\"",
        '_X86 = ("x86_64", "i686")',
        {"virt/pci.py"},
    ),
    "is it q35": (
        r"\"q35\" (not )?in |startswith\(\"(pc-)?q35",
        'if "q35" in machine:',
        {"virt/pci.py"},
    ),
    "is it an alias": (r"\"-\" not in ", 'is_alias = "-" not in stored', set()),
    "what Nova takes for yes": (r"\"t\", \"true\"", '("1", "t", "true", "on")', set()),
    "channels that Nova names": (
        r"\"(com\.redhat\.spice|org\.qemu\.guest_agent)\.0\"",
        'NAME = "com.redhat.spice.0"',
        {"virt/devices.py"},
    ),
    "libvirt's USB controller": (
        r"\"piix3-uhci\"",
        'model or "piix3-uhci"',
        {"virt/places.py", "virt/pci.py", "capabilities/device_names.py"},
    ),
    "libvirt's network card": (r"(or|return|=) \"rtl8139\"", 'model or "rtl8139"', set()),
    "conventional cards": (r"\"e1000\", \"rtl8139\"", '("e1000", "rtl8139")', set()),
    "how a server is stopped": (
        r"openstack server (stop|unpause|unrescue|resume|resize)\b",
        'hint = "openstack server stop"',
        set(),
    ),
    "Nova's watchdog": (
        r"\"i6300esb\"",
        'model="i6300esb"',
        {"capabilities/device_names.py", "virt/address_types.py"},
    ),
}
"""What only novadev/rules may hold: a pattern, what it finds, and who else may.

Those are tables of names, and checks of libvirt's own, whose layer imports no rules.
"""


@pytest.mark.parametrize("rule", RULE_TERMS)
def test_a_rule_has_one_home(rule: str) -> None:
    pattern, example, others = RULE_TERMS[rule]
    assert re.search(pattern, example)
    found = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if not str(path.relative_to(PACKAGE)).startswith("rules/")
        and re.search(pattern, path.read_text())
    }
    assert found <= others, f"{rule}: see novadev/rules"
