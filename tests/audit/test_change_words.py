"""What becomes of a device, in words that need no second reading."""

import pytest

from novadev.audit.change_words import FUTURE, PAST, Tense, change_in_words

ADDRESS = "0000:00:05.0"


@pytest.mark.parametrize(
    ("tense", "field", "before", "after", "words"),
    [
        (FUTURE, "address", None, ADDRESS, "disk vda gets the address 0000:00:05.0"),
        (FUTURE, "address", ADDRESS, None, "disk vda loses the address 0000:00:05.0"),
        (FUTURE, "model", "cirrus", "vga", "the model of disk vda changes from cirrus to vga"),
        (FUTURE, "device", None, "disk vda", "disk vda appears"),
        (FUTURE, "device", "disk vda", None, "disk vda vanishes"),
        (PAST, "address", None, ADDRESS, "disk vda got the address 0000:00:05.0"),
        (PAST, "device", None, "disk vda", "disk vda is new"),
        (PAST, "device", "disk vda", None, "disk vda has vanished"),
        (
            *(PAST, "logical_name", "/dev/vda", "/dev/sda"),
            "the name in the guest of disk vda changed from /dev/vda to /dev/sda",
        ),
    ],
)
def test_words(tense: Tense, field: str, before: str | None, after: str | None, words: str) -> None:
    assert change_in_words("disk vda", field, before, after, tense) == words
