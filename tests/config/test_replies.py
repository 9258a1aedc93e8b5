"""[replies."ADDRESS"]: how many answers people can give."""

from pathlib import Path

import pytest

from config.changes import changes
from config.faults import ConfigFaults
from config.load import load_settings
from config.model import Settings

BASE = '[ramps.careful]\n[senders.support]\nfrom = "support@acme.example"\nramp = "careful"\n'
TABLE = '[replies."{}"]\nagents = 6\nper_hour = 8\nexpected = 0.03\n'


def loaded(folder: Path, text: str) -> Settings:
    file = folder / "dispatcher.toml"
    file.write_text(BASE + text)
    return load_settings(file, {})


def test_an_address_is_kept_in_the_form_in_which_addresses_are_compared(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, TABLE.format("Support@Ex\u00e4mple.org")).replies.items()
    assert (found[0], found[1].agents, found[1].per_hour, found[1].expected) == \
        ("support@xn--exmple-cua.org", 6, 8.0, 0.03)
    assert loaded(tmp_path, "").replies == {}


@pytest.mark.parametrize(("text", "fault"), [
    (TABLE.format("nobody"), "5: replies.nobody: is no address: it has no @; an address looks like name@example.org"),
    (TABLE.format("nobody"), '; write the bare address, such as [replies."support@acme.example"]'),
    (TABLE.format("Acme <a@b.example>"), "is no address"),
    (TABLE.format("a@b.example") + TABLE.format("A@B.example"),
     '9: replies."A@B.example": is the same address as "a@b.example"; write it once'),
    (TABLE.format("a@b.example") + "agent = 3\n", '.agent: is no key here (did you mean "agents"?)'),
    (TABLE.format("a@b.example").replace("0.03", "0"), "expected: must be from 1e-06 to 1.0, not 0"),
    (TABLE.format("a@b.example").replace("0.03", "true"), "expected: must be a number"),
    (TABLE.format("a@b.example").replace("8", '"8"'), "per_hour: must be a number"),
    (TABLE.format("a@b.example").replace("6", "0"), "agents: must be from 1 to 100000, not 0"),
    (TABLE.format("a@b.example").replace("per_hour = 8\n", ""), "per_hour: is required and missing"),
])
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigFaults) as refused:
        loaded(tmp_path, text)
    assert len(refused.value.faults) == 1
    assert fault in str(refused.value.faults[0])


def test_a_reload_says_what_changes(tmp_path: Path) -> None:
    before, after = loaded(tmp_path, TABLE.format("a@b.example")), loaded(
        tmp_path, TABLE.format("A@B.example").replace("6", "7") + TABLE.format("c@b.example"))
    assert [str(change) for change in changes(before, after)] == [
        'replies."a@b.example".agents: 6 -> 7', 'replies."c@b.example": added',
    ]
    assert [str(change) for change in changes(after, before)][1] == 'replies."c@b.example": removed'
