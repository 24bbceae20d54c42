"""What an alias is."""

import pytest

from novadev.errors import BadInput
from novadev.virt.alias import Alias

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_an_alias_of_a_uuid_is_novas() -> None:
    alias = Alias.for_uuid(UUID)
    assert (str(alias), alias.uuid, alias.checked()) == (f"ua-{UUID}", UUID, alias)


@pytest.mark.parametrize("text", ["None", "", "ua-", f"ua-{UUID}", f"{UUID}\n", "701e0000"])
def test_only_a_uuid_makes_one(text: str) -> None:
    with pytest.raises(BadInput, match="is not a UUID"):
        Alias.for_uuid(text)


@pytest.mark.parametrize("name", ["ua-", "ua-a_B-9", f"ua-{'a' * 297}"])
def test_kept_by_libvirt(name: str) -> None:
    assert Alias(name).is_user_defined
    assert Alias(name).identifier == name[3:]
    assert Alias(name).uuid is None


@pytest.mark.parametrize(
    "name", ["", "virtio-disk0", "UA-a", "ua-a.b", "ua-a b", "ua-a/b", "ua-é", "ua-a\n", "x" * 300]
)
def test_dropped_by_libvirt(name: str) -> None:
    assert not Alias(name).is_user_defined
    assert Alias(name).identifier is None
    with pytest.raises(BadInput, match="libvirt would drop the alias") as caught:
        Alias(name).checked()
    assert len(str(caught.value)) < 200
