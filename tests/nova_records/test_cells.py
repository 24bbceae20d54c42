"""Cell URLs with templates, as `CellMapping._format_url` of Nova 34 fills them in."""

import pytest

from novadev.nova.cells import Cell, format_url

DEFAULT = "mysql+pymysql://nova:s3cret@DB.example.org:3307/nova?charset=utf8#x"


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("mysql://u:p@h/nova", "mysql://u:p@h/nova"),
        (
            "{scheme}://{username}:{password}@{hostname}:{port}/cell2?{query}",
            "mysql+pymysql://nova:s3cret@db.example.org:3307/cell2?charset=utf8",
        ),
        ("{scheme}://h/{path}#{fragment}", "mysql+pymysql://h/nova#x"),
        ("mysql://u:p{ss@h/nova", "mysql://u:p{ss@h/nova"),
        ("mysql://{nobody}@h/nova", "mysql://{nobody}@h/nova"),
        ("mysql://{username.__class__}@h/nova", "mysql://{username.__class__}@h/nova"),
        ("mysql://{username1}@h/nova", "mysql://{username1}@h/nova"),
    ],
)
def test_format_url(template: str, url: str) -> None:
    assert format_url(template, DEFAULT) == url


def test_parts_that_are_missing_become_none_and_brackets_are_lost() -> None:
    """What Nova makes of them; a cell with such a URL is then reported as it is."""
    assert format_url("{scheme}://{hostname}:{port}/x", "mysql://[fd00::1]/n") == (
        "mysql://fd00::1:None/x"
    )


def test_several_hosts() -> None:
    default = "mysql://nova:one@a:1,nova:two@b:2/nova"
    assert format_url("mysql://{username2}:{password2}@{hostname2}:{port2}/n", default) == (
        "mysql://nova:two@b:2/n"
    )


def test_without_a_default_a_template_stays() -> None:
    assert format_url("{scheme}://x", None) == "{scheme}://x"


def test_a_cell_does_not_show_its_connection() -> None:
    cell = Cell(1, "uuid", "cell1", False, "mysql://nova:s3cret@h/nova")
    assert "s3cret" not in repr(cell)


ONE = "mysql+pymysql://nova:a@db.example/cell1"


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        ("mariadb+pymysql://root:b@DB.example:3306/cell1?charset=utf8", True),
        ("mysql+pymysql://nova:a@db.example:3307/cell1", False),
        ("mysql+pymysql://nova:a@db.example/cell2", False),
        ("mysql+pymysql://nova:a#b?@db2.example/cell1", False),
        ("mysql+pymysql:///cell1?unix_socket=/run/one.sock", False),
        ("no URL", False),
    ],
)
def test_which_urls_lead_to_one_database(other: str, is_one: bool) -> None:
    keys = [Cell(1, "uuid", "cell1", False, url).database_key for url in (ONE, other)]
    assert (keys[0] == keys[1]) is is_one


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql:///cell1?unix_socket=/run/{}",
        "mysql+pymysql://root@localhost/cell1?unix_socket=/run/{}",
        "mysql+pymysql://localhost/cell1?host={}",
        "mysql+pymysql://localhost/cell1?database={}",
    ],
)
def test_an_option_says_which_database_it_is(url: str) -> None:
    keys = [
        Cell(1, "uuid", "cell1", False, url.format(name)).database_key
        for name in ("one", "two", "two&charset=utf8")
    ]
    assert keys[0] != keys[1] == keys[2]
