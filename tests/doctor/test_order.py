"""The results of hosts stand in the order of their names, whoever answers first."""

import random

from novadev.cli.doctor import _in_order, _rows
from novadev.doctor.result import Result

HOSTS = ("cmp1", "cmp2", "cmp3", "cmp10", "gone1", "gone2")


def results() -> list[Result]:
    hosts = list(HOSTS)
    random.shuffle(hosts)
    found = [
        Result("host", name, "failure", f"host {name}: no answer")
        if name.startswith("gone")
        else Result("host", name, "ok", f"{name} answered")
        for name in hosts
    ]
    return [Result("database", "cell1", "ok", ""), *found, Result("state database", "a", "ok", "")]


def test_hosts_are_in_order_in_every_format() -> None:
    subjects = [item.subject for item in _in_order(results())]
    assert subjects == ["cell1", *HOSTS, "a"]


def test_hosts_that_fail_alike_share_a_row() -> None:
    subjects = [row["subject"] for row in _rows(_in_order(results()))]
    assert subjects == ["cell1", *HOSTS[:4], "2 hosts: gone1, gone2", "a"]
