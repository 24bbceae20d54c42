"""The report in a real browser: what it shows, what it does, and what it never does."""

import functools
import http.server
import itertools
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from novadev.text import printable
from tests.audit.browser import Browser, Page
from tests.audit.collecting import ABOUT, FINDING, findings, written
from tests.audit.test_report import HOSTILE, everything

pytestmark = pytest.mark.slow
COUNT = 300
FOUND = list(findings(COUNT))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    about = replace(ABOUT, unreachable=("host cmp17 did not answer within 30 s",))
    return written(path, FOUND, about).as_uri()


def shown(page: Page) -> int:
    """How many rows of the table can be seen."""
    count = page.run('document.querySelectorAll("#table tbody tr:not([hidden])").length')
    assert page.texts("#shown") == [f"{count} of {COUNT} shown"]
    return int(count)


def choose(page: Page, column: int, value: str) -> None:
    page.run(
        f"""(() => {{
          const select = document.querySelector('select[data-column="{column}"]');
          select.value = {json.dumps("=" + value)};
          select.dispatchEvent(new Event("change"));
        }})()"""
    )


def first_cells(page: Page, column: int) -> list[str]:
    return page.texts(f"#table tbody tr:not([hidden]) td:nth-child({column + 1})")


def test_it_opens_in_silence_and_fetches_nothing(browser: Browser, address: str) -> None:
    with browser.page(address) as page:
        assert shown(page) == COUNT
        page.run("document.querySelector('button.copy').click()")
        assert page.requests() == [address]
        assert page.complaints() == []


def test_it_fetches_nothing_from_a_web_server_either(browser: Browser, tmp_path: Path) -> None:
    """Where a browser would ask for an icon."""
    written(tmp_path / "report.html", FOUND[:20])
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/report.html"
        with browser.page(address) as page:
            requests, complaints = page.requests(), page.complaints()
        server.shutdown()
    assert requests == [address]
    assert complaints == []


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_filters_narrow_the_table(browser: Browser, address: str) -> None:
    with browser.page(address) as page:
        choose(page, 1, "alias")
        of_check = [finding for finding in FOUND if finding.check == "alias"]
        assert shown(page) == len(of_check) > 0
        choose(page, 3, "cmp1")
        there = [finding for finding in of_check if finding.host == "cmp1"]
        assert shown(page) == len(there) > 0
        page.run("document.getElementById('reset').click()")
        assert shown(page) == COUNT


def test_a_text_finds_names_uuids_and_details(browser: Browser, address: str) -> None:
    wanted = FOUND[7]
    with browser.page(address) as page:
        for text in (wanted.name.upper(), wanted.instance, f"{wanted.host} {wanted.name}"):
            page.run(
                f"""(() => {{
                  const field = document.getElementById("text");
                  field.value = {json.dumps(text)};
                  field.dispatchEvent(new Event("input"));
                }})()"""
            )
            page.await_true(
                'document.querySelectorAll("#table tbody tr:not([hidden])").length < 30'
            )
            assert f"{wanted.name} {wanted.instance}" in first_cells(page, 2)


def test_a_bar_leads_to_its_findings(browser: Browser, address: str) -> None:
    with browser.page(address) as page:
        page.run("document.querySelector('a[data-group=\"host\"]').click()")
        (host, *_) = page.texts('a[data-group="host"]')
        assert set(first_cells(page, 3)) == {host}
        assert shown(page) == sum(finding.host == host for finding in FOUND)
        page.run("document.querySelector('a.unnamed[data-group=\"machine_type\"]').click()")
        assert set(first_cells(page, 5)) == {""}
        assert shown(page) == sum(not finding.machine_type for finding in FOUND)


def test_a_head_sorts(browser: Browser, address: str) -> None:
    with browser.page(address) as page:
        head = 'document.querySelectorAll("#table th")[3]'
        page.run(f'{head}.querySelector("button").click()')
        hosts = [int(host.removeprefix("cmp")) for host in first_cells(page, 3)]
        assert hosts == sorted(hosts)
        assert page.run(f'{head}.getAttribute("aria-sort")') == "ascending"
        page.run(f'{head}.querySelector("button").click()')
        assert first_cells(page, 3)[0] == f"cmp{hosts[-1]}"
        assert page.run(f'{head}.getAttribute("aria-sort")') == "descending"


@pytest.mark.parametrize("secure", [True, False])
def test_a_button_copies_the_commands(browser: Browser, address: str, secure: bool) -> None:
    """Also on a page by plain HTTP, which is given no clipboard."""
    with browser.page(address) as page:
        page.run("globalThis.clipboard = navigator.clipboard")
        if not secure:
            page.run('Object.defineProperty(navigator, "clipboard", {value: undefined})')
        page.run('document.querySelector("button.copy").click()')
        page.await_true('document.querySelector("button.copy").textContent === "Copied"')
        copied = page.run("clipboard.readText()").splitlines()
        assert copied == page.texts("details pre")[0].splitlines()
    assert {finding.instance for finding in FOUND if finding.remedy} & set(copied)


def test_without_scripts_everything_is_there(browser: Browser, address: str) -> None:
    with browser.page(address, scripts=False) as page:
        assert len(page.texts("#table tbody tr")) == COUNT
        blocks = [line for block in page.texts("details pre") for line in block.splitlines()]
        assert {finding.instance for finding in FOUND if finding.remedy} <= set(blocks)
        assert len(page.texts("details[open]")) == len(page.texts("details"))
        for control in ("#filters", "button.copy"):
            assert page.texts(f"{control}:not([hidden])") == [], "which would do nothing"
        assert page.complaints() == []


def printed(page: Page, folder: Path) -> str:
    """The text of the page on paper."""
    (folder / "page.pdf").write_bytes(page.printed())
    words = ["pdftotext", "-layout", folder / "page.pdf", "-"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.fresh
@pytest.mark.parametrize("scripts", [True, False])
def test_paper_has_the_runbook(
    browser: Browser, address: str, tmp_path: Path, scripts: bool
) -> None:
    with browser.page(address, scripts=scripts) as page:
        if scripts:
            page.run("document.querySelectorAll('details').forEach((part) => part.open = false)")
        text = printed(page, tmp_path)
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {finding.instance for finding in FOUND if finding.remedy} <= lines
    assert "Show all" not in text
    sheets = text.split("\f")
    tables = [sheet for sheet in sheets if sheet.count("\nfailure") + sheet.count("\nwarning") > 3]
    assert len(tables) > 3
    assert all("Machine" in sheet for sheet in tables), "each has the heads of the columns"


HEADS = """Array.from(document.querySelectorAll("thead"), (head) =>
  Array.from(head.querySelectorAll("th"), (cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const box = range.getBoundingClientRect();
    return [box.left, box.right];
  }).filter(([left, right]) => right > left))"""
"""Where the words at the head of each table begin and end, but for those that are not shown."""


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_heads_of_tables_stand_apart(browser: Browser, address: str, width: int) -> None:
    with browser.page(address, width=width) as page:
        tables = [table for table in page.run(HEADS) if table]
    assert len(tables) >= 4
    for table in tables:
        for (_, right), (left, _) in itertools.pairwise(table):
            assert left - right >= 6


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_its_window(browser: Browser, address: str, width: int, dark: bool) -> None:
    with browser.page(address, width=width, dark=dark) as page:
        assert page.run("document.documentElement.scrollWidth") <= width
        assert bool(page.run(f"({CONTRAST})()") >= 4.5), "WCAG 2.2, 1.4.3"


def test_a_phone_unfolds_the_first_findings(browser: Browser, tmp_path: Path) -> None:
    """1,500 cards would be 400,000 px; a filter and a button lead to the others."""
    found = [replace(FOUND[0], instance=f"{n:08x}-{'0' * 4}", name=f"web-{n}") for n in range(500)]
    address = written(tmp_path / "long.html", found).as_uri()
    seen = 'document.querySelectorAll("#table tbody tr:not([hidden])").length'
    with browser.page(address, width=390) as page:
        assert page.run("document.documentElement.scrollHeight") < 25_000
        assert page.run(seen) == 50
        assert page.texts("#more") == ["Show more (450 left)"]
        page.run('document.getElementById("more").click()')
        assert page.run(seen) == 250
        page.run('dispatchEvent(new Event("beforeprint"))')
        assert page.run(seen) == 500
    with browser.page(address, width=1280) as page:
        assert page.run(seen) == 500
        assert not page.run('document.getElementById("more").checkVisibility()')


CONTRAST = """() => {
  const of = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).map((part) => {
      const value = Number(part) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)" && color !== "transparent") return color;
    }
  };
  let least = 21;
  for (const element of document.querySelectorAll("body *:not(script)")) {
    const texts = Array.from(element.childNodes).filter((node) => node.nodeType === 3);
    if (!texts.some((node) => node.data.trim()) || !element.checkVisibility()) continue;
    const one = of(getComputedStyle(element).color), other = of(behind(element));
    least = Math.min(least, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
  }
  return least;
}"""


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    """In all fields, as a browser reads them: its parser is the one that counts."""
    about = replace(ABOUT, deployment=HOSTILE[0], selection=HOSTILE[1], unreachable=HOSTILE)
    found = [everything(value) for value in HOSTILE] + [FINDING]
    address = written(tmp_path / "report.html", found, about).as_uri()
    with browser.page(address) as page:
        assert page.requests() == [address]
        assert page.complaints() == []
        assert len(page.texts("script")) == len(page.texts("style")) == 1
        assert page.texts("img, iframe, [onload], [onerror], [onmouseover], [src]") == []
        details = page.texts("#table td:nth-child(7)")
        for value in HOSTILE:
            assert f"{printable(value)} {printable(value)}" in details
        assert page.texts(".note li") == [printable(value) for value in HOSTILE]
        for value in HOSTILE[:3]:
            choose(page, 3, printable(value))
            assert first_cells(page, 3) == [printable(value)]


@pytest.mark.parametrize(
    ("attack", "refused_by"),
    [
        ("document.body.insertAdjacentHTML('beforeend', '<b>x</b>')", "require-trusted-types-for"),
        ("document.body.append(make('script', {text: 'x = 1'}))", "require-trusted-types-for"),
        ("document.body.append(make('img', {src: 'http://127.0.0.1:9/x.png'}))", "img-src"),
        ("document.body.setAttribute('onclick', 'x = 1')", "require-trusted-types-for"),
        ("document.body.setAttribute('style', 'color: red')", "style-src-attr"),
        ("fetch('http://127.0.0.1:9/').catch(() => 0)", "connect-src"),
    ],
)
def test_the_policy_refuses_what_is_not_the_pages_own(
    browser: Browser, address: str, attack: str, refused_by: str
) -> None:
    """If text ever became markup, it could still run nothing and send nothing."""
    with browser.page(address) as page:
        told = page.run(
            f"""new Promise((resolve) => {{
              const make = (name, its) => Object.assign(document.createElement(name), its);
              document.addEventListener("securitypolicyviolation",
                (event) => resolve(event.effectiveDirective));
              try {{ {attack} }} catch {{}}
              setTimeout(() => resolve("nothing was refused"), 5000);
            }})"""
        )
        assert told == refused_by
        assert page.requests() == [address]
        assert page.run("globalThis.x") is None


def test_a_hundred_thousand_findings_still_open(browser: Browser, tmp_path: Path) -> None:
    path = written(tmp_path / "report.html", findings(100_000), replace(ABOUT, guests=66_667))
    with browser.page(path.as_uri()) as page:
        assert page.texts("#shown") == ["5,000 of 5,000 shown"]
        choose(page, 1, "target")
        assert len(first_cells(page, 1)) > 100
