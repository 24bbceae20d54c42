"""The parser: nothing lost, nothing resolved."""

from pathlib import Path

import pytest

from novadev.errors import BadInput
from novadev.virt import xml

LAUGHS = "".join(
    f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 10)
).join(['<!DOCTYPE d [<!ENTITY e0 "ha">', "]><d>&e9;</d>"])


@pytest.mark.parametrize(
    "text",
    [
        "<!-- before --><?pi x?><a><!-- c --><![CDATA[ <&> ]]><?p q?> t &amp;</a><!-- z -->",
        '<a xmlns:x="relative"><x:b y="1&quot;2"/></a>',
        "<a><![CDATA[<!DOCTYPE a [<!ENTITY e 'x'>]>]]><!-- <!DOCTYPE a> --></a>",
        "<a>naïve 日本語</a>",
    ],
)
def test_nothing_is_lost(text: str) -> None:
    assert xml.serialise(xml.parse(text)) == text
    assert xml.serialise(xml.parse(text.encode())) == text
    assert xml.canonical(xml.serialise(xml.parse(text))) == xml.canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><d>&e;</d>',
        '<!-- c --><?pi?>\n<!DOCTYPE d SYSTEM "http://192.0.2.1/d.dtd"><d/>',
        '\ufeff<?xml version="1.0"?> <!DOCTYPE d><d/>',
    ],
)
def test_a_doctype_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^cmp1: the XML of d has a DOCTYPE"):
        xml.parse(text, "cmp1: the XML of d")
    with pytest.raises(BadInput, match="DOCTYPE"):
        xml.canonical(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<a>&e;</a>", "Entity 'e' not defined"),
        ('<a b="&e;"/>', "Entity 'e' not defined"),
        ("<a>", "Premature end"),
        ("", "empty"),
        ("<a>" * 300 + "</a>" * 300, "depth"),
        (f"<a>{'x' * xml.MAX_BYTES}</a>", "more than libvirt takes"),
        ("<a>\ud800</a>", "not Unicode"),
        (b"<a>\xe9</a>", "encoding"),
        ("<a/>".encode("utf-16"), "cannot be parsed"),
    ],
)
def test_what_cannot_be_parsed(text: str | bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        xml.parse(text)


def test_an_external_entity_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    with pytest.raises(BadInput) as caught:
        xml.parse(f'<!DOCTYPE d [<!ENTITY e SYSTEM "{secret.as_uri()}">]><d>&e;</d>')
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("<a b='1' c='2'/>", '<a c="2" b="1"></a>', True),
        ("<a>\n  <b/>\n</a>", "<a><b/></a>", True),
        ("<a><b> </b></a>", "<a><b></b></a>", False),
        ("<a><!-- c --></a>", "<a/>", False),
        ("<a><?p?></a>", "<a/>", False),
        ("<a><![CDATA[<]]></a>", "<a>&lt;</a>", True),
        ("<a> t</a>", "<a>t</a>", False),
        ("<a><b/><c/></a>", "<a><c/><b/></a>", False),
    ],
)
def test_canonical(one: str, other: str, equal: bool) -> None:
    assert (xml.canonical(one) == xml.canonical(other)) is equal
