"""The report: what is on the page, what can never be, and the file it is in."""

import io
import os
import re
import resource
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.audit import report
from novadev.audit.checks import CHECKS
from novadev.audit.finding import Finding
from novadev.audit.finding_store import Collected
from novadev.errors import BadInput
from novadev.text import printable
from tests.audit.collecting import ABOUT, FINDING, findings, written

UNREACHABLE = ("host cmp17 did not answer within 30 s", "cell3: <refused>")
HOSTILE = (
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>' onmouseover='alert(1)",
    "</pre></details><iframe src=//example.org></iframe>",
    "</style><style>@import url(//example.org)</style>",
    "<!-- --> ]]> &lt;b&gt; &#60; {{ 7*7 }} {% raw %}",
    "javascript:alert(1)",
    "\x1b[31mred\x07\x00\x7f\x9b\r\nnext\u2028line",
    "web\u202e1-bew\u2066\u200f",
    "half a character: \ud800",
)
TEXTS = st.text(max_size=40) | st.sampled_from(HOSTILE)


def page_of(found: Iterable[Finding], about: object = ABOUT) -> str:
    """The text of the report."""
    file = io.StringIO()
    with Collected() as collected:
        for finding in found:
            collected.add(finding)
        report.Report("report.html", file).write(about, collected)  # type: ignore[arg-type]
    return file.getvalue()


def parsed(text: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(text)


def text_of(element: lxml.html.HtmlElement) -> str:
    return " ".join(element.text_content().split())


def rows(page: lxml.html.HtmlElement, table: str) -> list[list[str]]:
    return [[text_of(cell) for cell in row] for row in page.xpath(f"//*[{table}]//tbody/tr")]


def chart(page: lxml.html.HtmlElement, group: str) -> dict[str, list[str]]:
    """The numbers behind each bar: failures, warnings, guests."""
    found = rows(page, f'@aria-labelledby="by-{group}"')
    return {row[0]: row[2:] for row in found}


def everything(value: str) -> Finding:
    """A finding that has VALUE wherever there is text."""
    fixed = ("severity", "needs", "acknowledged", "comparison")
    texts = {field.name: value for field in fields(Finding) if field.name not in fixed}
    return Finding(severity="failure", **texts)  # type: ignore[arg-type]


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The elements of a page with the names of their attributes."""
    return [
        (element.tag, tuple(element.attrib))
        for element in parsed(text).iter()
        if isinstance(element.tag, str)
    ]


def test_charts_count_everything() -> None:
    found = [
        replace(FINDING, severity="failure", check="ghost"),
        FINDING,
        replace(FINDING, host="cmp2", machine_type="", instance="other"),
        replace(FINDING, instance=None, host=None, project="", check="unreachable"),
    ]
    page = parsed(page_of(found))
    assert chart(page, "host") == {
        "cmp1": ["1", "1", "1"],
        "cmp2": ["0", "1", "1"],
        "no host": ["0", "1", "0"],
    }
    assert chart(page, "machine_type")["not known"] == ["0", "1", "1"]
    assert list(chart(page, "project").values()) == [["1", "2", "2"]]
    checks = chart(page, "check")
    assert [name.split()[0] for name in checks] == ["ghost", "machine-type", "unreachable"]
    quiet = text_of(page.xpath('//p[@class="quiet"]')[0])
    assert quiet.startswith(f"{len(CHECKS) - 3} more found nothing: not-stashed, ")


def test_guests_are_counted_by_their_worst() -> None:
    found = [replace(FINDING, severity="failure"), FINDING, replace(FINDING, instance="other")]
    page = parsed(page_of(found))
    tiles = dict(zip(page.xpath('//*[@class="tiles"]//dt'), page.xpath("//dd"), strict=False))
    assert {text_of(name): text_of(value) for name, value in tiles.items()} == {
        "Guests with failures": "1",
        "Guests with warnings only": "1",
        "Guests without findings": "1,202",
        "Failures found": "1",
        "Warnings found": "2",
        "Could not be checked": "0",
    }
    verdict = text_of(page.xpath('//*[@class="verdict"]')[0])
    assert verdict == "1 of 1,204 guests has a failure, and 1 more has warnings only."


def test_bars_are_as_long_as_their_numbers() -> None:
    found = [replace(FINDING, severity="failure")] * 3 + [FINDING] + [replace(FINDING, host="b")]
    page = parsed(page_of(found))
    bars = page.xpath('//*[@aria-labelledby="by-host"]//*[local-name()="rect"]')
    assert [float(bar.get("width")) for bar in bars] == [75, 25, 0, 25]
    assert [float(bar.get("x") or 0) for bar in bars] == [0, 75, 0, 0]


def test_the_rest_of_the_hosts_is_one_line() -> None:
    found = [replace(FINDING, host=f"cmp{n:02}", instance=str(n)) for n in range(40)]
    told = chart(parsed(page_of(found)), "host")
    assert len(told) == report.MAX_BARS + 1
    assert told["28 others"] == ["0", "28", "28"]


def test_the_table_has_every_finding() -> None:
    page = parsed(page_of([FINDING, replace(FINDING, severity="failure", name="web-2")]))
    (worst, other) = rows(page, '@id="table"')
    assert (worst[0], other[0]) == ("failure", "warning")
    assert other == [
        *("warning", "machine-type", f"web-1 {FINDING.instance}", "cmp1", FINDING.project, "pc"),
        f"{FINDING.details} {FINDING.remedy}",
    ]
    heads = page.xpath('//*[@id="table"]//th[@scope="col"]')
    assert len(heads) == len(other)


def test_a_table_that_is_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_ROWS", 30)
    few = [replace(FINDING, check=name, severity="failure") for name in ("ghost", "target")]
    many = [replace(FINDING, check="alias", severity="failure")] * 100 + [FINDING] * 20
    page = parsed(page_of([*many, *few]))
    shown = rows(page, '@id="table"')
    assert len(shown) == 30
    assert {row[1] for row in shown} == {"alias", "ghost", "target"}
    assert "30 of 122 findings" in text_of(page.get_element_by_id("findings"))
    assert chart(page, "host") == {"cmp1": ["102", "20", "1"]}


def commands(page: lxml.html.HtmlElement) -> dict[str, list[str]]:
    """The runbook: its commands by kind."""
    kinds = [text_of(kind) for kind in page.xpath("//summary/code")]
    blocks = [block.text_content().splitlines() for block in page.xpath("//details/pre")]
    return dict(zip(kinds, blocks, strict=True))


def test_the_runbook_has_each_command_once() -> None:
    stash = [f"novadev stash-defaults {number}" for number in "12"]
    move = "novadev image-property set --property hw_cdrom_bus=sata 2"
    found = [
        replace(FINDING, remedy=stash[0], instance="1"),
        replace(FINDING, remedy=stash[0], instance="1", check="not-stashed"),
        replace(FINDING, remedy=move, instance="2", severity="failure"),
        replace(FINDING, remedy=stash[1], instance="2"),
        replace(FINDING, remedy=stash[1], instance="2", acknowledged="for now"),
        replace(FINDING, remedy=None),
    ]
    page = parsed(page_of(found))
    assert commands(page) == {
        "novadev image-property set": ["# machine-type: 1 server", move],
        "novadev stash-defaults": [
            "# machine-type, not-stashed: 2 servers",
            *("novadev stash-defaults --from-file - <<'END'", "1", "2", "END"),
        ],
    }
    assert next(iter(commands(page))) == "novadev image-property set", "which has to be first"
    told = text_of(page.get_element_by_id("runbook"))
    assert "For machine-type, not-stashed." in told
    assert "1 finding has no command" in told


def test_a_runbook_that_is_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_COMMANDS", 5)
    found = [
        replace(FINDING, remedy=f"novadev stash-defaults {n}", instance=f"{n}") for n in range(9)
    ]
    page = parsed(page_of(found))
    assert commands(page)["novadev stash-defaults"][2:] == [*"01234", "END"]
    assert "The first 5 of 9; all of them:" in text_of(page.get_element_by_id("runbook"))


def test_what_could_not_be_asked_is_said_first() -> None:
    page = parsed(page_of([], replace(ABOUT, unreachable=UNREACHABLE)))
    (note,) = page.xpath('//*[@role="note"]')
    assert [text_of(item) for item in note.xpath(".//li")] == list(UNREACHABLE)
    many = page_of([], replace(ABOUT, unreachable=[f"host cmp{n}" for n in range(250)]))
    assert text_of(parsed(many).xpath('//*[@role="note"]//li')[-1]) == "and 150 more"


def test_the_page_says_what_it_is_of() -> None:
    page = parsed(page_of([]))
    told = text_of(page.get_element_by_id("about"))
    for word in ("cloud.example.org", "2026-11-21 03:07:45 UTC", "1,204", "QEMU 10.0.2"):
        assert word in told
    for check in CHECKS:
        assert f"{check.name} {check.finds}" in told


def test_hosts_that_do_not_answer_are_no_guests() -> None:
    """Nothing on the page says that no guest fails, where some were not checked."""
    found = [
        Finding("unreachable", "failure", None, host, "no answer", None)
        for host in ("cmp1", "cmp11", "cmp12", "cmp2")
    ]
    about = replace(ABOUT, unreachable=[item.details for item in found])
    page = parsed(page_of([*found, FINDING], about))
    summary = text_of(page.get_element_by_id("summary"))
    assert "No guest that could be checked has a failure." in summary
    assert "4 failures are not of a guest, but of hosts or cells." in summary
    assert not {"not known"} & set(chart(page, "project"))
    of_hosts = [host for host in chart(page, "host") if host.startswith("cmp")][:4]
    assert of_hosts == ["cmp1", "cmp2", "cmp11", "cmp12"]
    shown = [row[3] for row in rows(page, '@id="table"') if row[1] == "unreachable"]
    assert shown == of_hosts
    assert "a cell or host could not be checked" in text_of(page.get_element_by_id("findings"))


@pytest.mark.parametrize(
    ("found", "guests", "unreachable", "told"),
    [
        ([], 1204, (), "Nothing was found."),
        ([], 1204, UNREACHABLE, "Nothing was found in what could be checked."),
        ([], 0, (), "No guest was audited."),
        ([FINDING], 1204, (), "No guest has a failure. 1 of 1,204 has warnings."),
        ([replace(FINDING, instance=None)], 1204, (), "No finding is of a guest."),
    ],
)
def test_the_verdict(
    found: list[Finding], guests: int, unreachable: tuple[str, ...], told: str
) -> None:
    page = parsed(page_of(found, replace(ABOUT, guests=guests, unreachable=unreachable)))
    assert text_of(page.xpath('//*[@class="verdict"]')[0]) == told
    assert bool(page.xpath('//*[@class="charts"]')) == bool(found)
    assert page.xpath('//*[@class="empty"]') if not found else rows(page, '@id="table"')


def test_the_page_can_be_read_by_everyone() -> None:
    page = parsed(page_of(findings(50)))
    assert page.get("lang") == "en"
    names = {item.get("id") for item in page.xpath("//*[@id]")}
    assert len(names) == len(page.xpath("//*[@id]"))
    told = {word for item in page.xpath("//@aria-labelledby") for word in item.split()}
    assert told <= names
    assert {link[1:] for link in page.xpath("//@href")} <= names
    levels = [int(head.tag[1]) for head in page.xpath("//h1|//h2|//h3|//h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    controls = page.xpath("//input|//select")
    assert controls
    assert all(control.getparent().tag == "label" for control in controls)
    assert all(head.get("scope") for head in page.xpath("//th"))


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_text(value: str) -> None:
    harmless = page_of([everything("x")], ABOUT)
    hostile = page_of([everything(value)], ABOUT)
    assert shape(hostile) == shape(harmless)
    cells = [cell.text_content() for cell in parsed(hostile).xpath('//*[@id="table"]//td')]
    assert cells.count(printable(value)) == 4
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\u2066]", hostile)


@given(TEXTS, TEXTS, TEXTS)
def test_no_text_becomes_markup(one: str, two: str, three: str) -> None:
    """Of the findings and of the audit; an empty text has no element of its own."""
    about = replace(
        ABOUT,
        deployment="d" + one,
        selection=two,
        versions={"v" + two: three},
        unreachable=(three,),
    )
    plain = replace(ABOUT, deployment="d", versions={"v": "x"}, unreachable=("x",))
    found = replace(everything("f" + one), details=two, remedy="r" + three)
    assert shape(page_of([found], about)) == shape(page_of([everything("f")], plain))


def test_nothing_is_fetched_and_nothing_foreign_runs() -> None:
    text = page_of(findings(50))
    page = parsed(text)
    assert page.xpath("//@src|//@srcset|//@style|//link|//img|//iframe|//object|//form") == []
    assert page.xpath("//@*[starts-with(name(), 'on')]") == []
    assert len(page.xpath("//script")) == len(page.xpath("//style")) == 1
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    (policy,) = page.xpath('//meta[@http-equiv="Content-Security-Policy"]/@content')
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.xpath("//head/*")[1].get("content") == policy, "nothing may come before it"


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("an older one")
    path.chmod(0o644)
    written(path, [FINDING])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert os.listdir(tmp_path) == ["report.html"]


def test_an_audit_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("an older one")

    def stop() -> None:
        with report.opened(str(path)):
            assert len(os.listdir(tmp_path)) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert os.listdir(tmp_path) == ["report.html"]
    assert path.read_text() == "an older one"


@pytest.mark.parametrize("name", ["-", "", ".", "none/report.html", "plain/report.html", "link"])
def test_a_report_that_cannot_be_written_is_refused_first(tmp_path: Path, name: str) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "link").symlink_to("plain")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(BadInput, match="report"), report.opened(name):
            pytest.fail("the audit would have begun")
        assert sorted(os.listdir()) == ["link", "plain"]
        assert (tmp_path / "plain").read_text() == ""
    finally:
        os.chdir(before)


def test_a_folder_that_vanishes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()

    def audit() -> None:
        with Collected() as collected, report.opened(str(folder / "report.html")) as page:
            page.write(ABOUT, collected)
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    with pytest.raises(BadInput, match=r"report\.html cannot be written: No such file"):
        audit()


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; from pathlib import Path;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from tests.audit.collecting import findings, written;"
        "written(Path(sys.argv[1]) / 'report.html', findings(500))"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True)
    assert "BadInput: report" in done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert os.listdir(tmp_path) == []


def test_another_error_of_the_audit_is_not_the_reports(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), report.opened(str(tmp_path / "report.html")):
        raise BrokenPipeError
    assert os.listdir(tmp_path) == []


def peak_kib(count: int, folder: Path) -> int:
    """The peak memory of a process that reports so many findings."""
    program = (
        "import sys; from pathlib import Path;"
        "from tests.audit.collecting import findings, written;"
        "written(Path(sys.argv[1]), findings(int(sys.argv[2]), hosts=500, projects=3000))"
    )
    words = [sys.executable, "-c", program, str(folder / "report.html"), str(count)]
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert isinstance(usage, resource.struct_rusage)
    return usage.ru_maxrss


@pytest.mark.slow
def test_memory_does_not_grow_with_the_findings(tmp_path: Path) -> None:
    """Beyond what is kept of them in the cache of the file they are in."""
    few, many = peak_kib(60_000, tmp_path), peak_kib(180_000, tmp_path)
    assert many < 1.15 * few
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
