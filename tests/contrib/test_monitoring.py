"""The files for Prometheus, Grafana, Nagios and cron, against the metrics that an audit writes."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from novadev.audit.scope import About
from tests.audit.collecting import ABOUT, FINDING
from tests.audit.test_prometheus import printed, read
from tests.cached import CACHE
from tests.cloud import Cloud
from tests.command import novadev

CONTRIB = Path(__file__).parents[2] / "contrib"
PROMTOOL = CACHE / "prometheus/usr/bin/promtool"
RULES = CONTRIB / "prometheus" / "novadev.rules.yml"
DASHBOARD = CONTRIB / "grafana" / "novadev-audit.json"
NIGHTLY = CONTRIB / "cron" / "novadev-audit"
CRONTAB = CONTRIB / "cron" / "novadev.cron"
PLUGIN = CONTRIB / "nagios" / "check_novadev_audit"


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def expressions() -> list[str]:
    """What the dashboard asks Prometheus for."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize(
    "asked", [[rule["expr"] for rule in rules()], expressions()], ids=["rules", "dashboard"]
)
def test_only_metrics_and_labels_that_are_written_are_asked_for(asked: list[str]) -> None:
    families = read(printed([FINDING]))
    for expression in asked:
        for name, selector in re.findall(r"novadev_audit_(\w+)(?:\{(.*?)\})?", expression):
            labels = set(families[name].samples[0].labels)
            assert set(re.findall(r"(\w+)=", selector)) <= labels
        assert "novadev_audit_" in expression


def test_the_dashboard_shows_every_metric_in_panels_that_do_not_overlap() -> None:
    shown = set(re.findall(r"novadev_audit_(\w+)", " ".join(expressions())))
    assert shown == set(read(printed([])))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24, "a row of Grafana has 24 columns"


def test_every_alert_says_what_to_do() -> None:
    tested = (CONTRIB / "prometheus" / "novadev.rules.test.yml").read_text()
    for rule in rules():
        assert "novadev" in rule["annotations"]["description"]
        assert tested.count(f"alertname: {rule['alert']}") >= 2, "it fires, and it does not"


@pytest.mark.slow
def test_the_alerts_fire_when_they_should() -> None:
    command = [PROMTOOL, "test", "rules", "novadev.rules.test.yml"]
    subprocess.run(command, cwd=RULES.parent, check=True, capture_output=True)


def nightly(folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    """Run the nightly script with PROGRAM as novadev, and what it writes in FOLDER."""
    path = folder / "novadev"
    path.write_text(program)
    path.chmod(0o755)
    places = {"folder": folder / "textfiles", "state": folder / "state"}
    script = NIGHTLY.read_text()
    for name, place in places.items():
        script, count = re.subn(f"(?m)^{name}=.*", f"{name}={place}", script)
        assert count == 1
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)


STAND_IN = "#!/bin/sh\necho new\necho said >&2\nexit {}\n"


@pytest.mark.slow
@pytest.mark.parametrize(("code", "taken"), [(0, True), (3, True), (8, True), (1, False)])
def test_the_nightly_script_puts_a_whole_file_there(tmp_path: Path, code: int, taken: bool) -> None:
    """With a stand-in for novadev, which prints and ends with CODE."""
    folder = tmp_path / "textfiles"
    folder.mkdir()
    (folder / "novadev.prom").write_text("old\n")
    done = nightly(tmp_path, STAND_IN.format(code))
    assert os.listdir(folder) == ["novadev.prom"]
    assert (folder / "novadev.prom").read_text() == ("new\n" if taken else "old\n")
    told = f"said\nnovadev audit ended with the exit code {code}.\n"
    expected = (0, "") if code in (0, 3) else (code, told)
    assert (done.returncode, done.stderr, done.stdout) == (*expected, "")


@pytest.mark.slow
def test_the_nightly_script_says_that_the_collector_has_no_folder(tmp_path: Path) -> None:
    done = nightly(tmp_path, STAND_IN.format(0))
    assert done.returncode != 0
    assert f"{tmp_path}/textfiles/novadev.prom.new" in done.stderr


@pytest.mark.slow
def test_the_nightly_script_makes_the_folder_of_its_report(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None)
    (tmp_path / "textfiles").mkdir()
    words = f"NOVADEV_CONFIG_FILE={sqlite_cloud.config_file} {sys.executable} -m novadev"
    done = nightly(tmp_path, f'#!/bin/sh\n{words} "$@"\n')
    assert (done.returncode, done.stderr) == (0, "")
    assert "novadev_audit_guests 1" in (tmp_path / "textfiles" / "novadev.prom").read_text()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "audit.html").stat().st_mode & 0o777 == 0o600


CRON_LINE = re.compile(r"root  said=\$\((novadev -q .*) 2>&1 >/dev/null\) \|\| echo \"\$said\"$")


@pytest.mark.slow
def test_cron_mails_failures_of_the_crontab_and_no_skipped_server(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    sqlite_cloud.add_instance(vm_state="shelved_offloaded", host=None)
    lines = [line for line in CRONTAB.read_text().splitlines() if line[:1].isdigit()]
    assert len(lines) == 2
    for line in lines:
        found = CRON_LINE.search(line)
        assert found, line
        assert "%" not in line, "cron would make a new line of it"
        assert novadev(sqlite_cloud, *shlex.split(found[1])[2:]).code == 0
        for code, told in ((0, ""), (8, "said\n")):
            (tmp_path / "novadev").write_text(STAND_IN.format(code))
            (tmp_path / "novadev").chmod(0o755)
            command = ["sh", "-c", line.partition("root ")[2]]
            path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
            done = subprocess.run(command, capture_output=True, text=True, env=path)
            assert done.stdout + done.stderr == told


def test_the_nightly_audit_gives_cron_nothing_to_mail(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    sqlite_cloud.add_instance(host="cmp1")
    [line] = re.findall(r"(?m)^said=\$\(novadev (.*) 2>&1 >", NIGHTLY.read_text())
    words = shlex.split(line.replace("$state", str(tmp_path)))
    result = novadev(sqlite_cloud, *words)
    assert (result.code in (0, 3, 8), result.err) == (True, "")


SICK = replace(FINDING, severity="failure")
NOW = datetime.fromtimestamp(time.time(), timezone.utc)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "about", "code", "told"),
    [
        ([], {}, 0, "OK: 0 of 1204 servers will break"),
        ([FINDING], {}, 1, "WARNING: 0 of 1204 servers will break, 1 will change"),
        ([SICK], {}, 2, "CRITICAL: 1 of 1204 servers will break"),
        ([], {"unreachable": ("host cmp17",)}, 1, "1 cells, hosts or servers could not be checked"),
        ([SICK], {"finished": ABOUT.finished}, 3, "UNKNOWN: the last audit is "),
    ],
)
def test_nagios_is_told(
    tmp_path: Path, found: list[Any], about: dict[str, Any], code: int, told: str
) -> None:
    file = tmp_path / "novadev.prom"
    dated: About = replace(ABOUT, **{"finished": NOW, **about})
    file.write_text(printed(found, dated))
    done = subprocess.run([PLUGIN, file, "86400"], capture_output=True, text=True)
    assert (done.returncode, told in done.stdout) == (code, True), done
    assert " | failures=" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("max_age", ["abc", "2d", "-1", "86400 ", "1e9"])
def test_nagios_is_told_of_an_age_that_is_no_number_of_seconds(
    tmp_path: Path, max_age: str
) -> None:
    file = tmp_path / "novadev.prom"
    file.write_text(printed([], ABOUT))
    done = subprocess.run([PLUGIN, file, max_age], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout.startswith("UNKNOWN: MAX_AGE_SECONDS is not a number of seconds")


@pytest.mark.slow
def test_nagios_is_told_that_there_is_no_audit(tmp_path: Path) -> None:
    empty = tmp_path / "novadev.prom"
    for _ in ("no file", "an empty file"):
        done = subprocess.run([PLUGIN, empty], capture_output=True, text=True)
        assert (done.returncode, done.stdout[:8]) == (3, "UNKNOWN:")
        empty.touch()
