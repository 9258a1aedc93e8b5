"""`check`: everything that is wrong, each in its place, without touching the store."""

import pytest
from support.command_line import House, Typing


def with_config(home: House, *changes: tuple[str, str]) -> None:
    text = (home.folder / "dispatcher.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    home.write("dispatcher.toml", text)


def test_a_good_house_is_said_to_be_good_and_no_store_is_made(home: House, typed: Typing) -> None:
    home.campaign()
    ended = typed("check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "dispatcher.toml is good, and so is 1 campaign\n"
    assert sorted(file.name for file in home.folder.iterdir()) == ["campaigns", "dispatcher.toml"]


def test_faults_of_every_campaign_are_named_at_once_each_in_its_file(home: House, typed: Typing) -> None:
    file = home.campaign("a") / "campaign.toml"
    file.write_text(file.read_text().replace('["support"]', '["support", "suport"]'))
    home.write("campaigns/b/campaign.toml", """\
id       = "b"
category = "service"
senders  = ["support"]
segment_by = "plan"
segments   = ["pro", "*"]
[email]
subject   = "Hello"
text_file = "words.txt"
html      = '''
<p>
{{ customer.name | nonsense }}
</p>
'''
[email.segments.pro]
subject = "{{ 1 +"
""")
    home.write("campaigns/b/words.txt", "Dear {{ customer.name }},\n{% if %}\n")
    file = home.campaign("d") / "campaign.toml"
    file.write_text(file.read_text().replace("customer.name", "customer.nmae"))
    home.write("campaigns/c/campaign.toml", "id = 3\n")
    ended = typed("check")
    assert (ended.code, ended.out) == (2, "")
    places = [line.removeprefix(f"{home.folder}/campaigns/").split(": ")[:2] for line in ended.errors]
    for place in (["a/campaign.toml:3", "senders"], ["b/campaign.toml:11", "email.html"],
                  ["b/campaign.toml:15", 'email.segments."pro".subject'], ["c/campaign.toml:1", "id"],
                  ["d/campaign.toml:8", "email.subject"]):
        assert place in places
    assert "b/words.txt:2" in [place[0] for place in places]
    assert 'did you mean "support"?' in ended.err


def test_json_has_every_fault_in_one_document(home: House, typed: Typing) -> None:
    file = home.campaign("d") / "campaign.toml"
    file.write_text(file.read_text().replace("customer.name", "customer.nmae"))
    home.write("campaigns/c/campaign.toml", "id = 3\n")
    ended = typed("check", "--json")
    assert ended.code == 2
    assert ended.data["faults"] == ended.errors
    assert ended.data | {"faults": []} == {
        "config": "dispatcher.toml", "campaigns": 1, "faults": [], "warnings": [], "lanes": []}


@pytest.mark.parametrize(("source", "code", "words"), [
    ('{ credential = "smtp" }', 0, "cannot be read: $CREDENTIALS_DIRECTORY is not set"),
    ('{ env = "NOT_SET_HERE" }', 0, "cannot be read: the environment has no NOT_SET_HERE; the service may have it"),
    ('{ file = "none" }', 2, "cannot be read: there is no file "),
])
def test_a_secret_that_only_the_service_has_is_a_warning_and_a_missing_file_a_fault(
    source: str, code: int, words: str, home: House, typed: Typing, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with_config(home, ('ramp   = "test"', f'ramp   = "test"\nusername = "acme"\npassword = {source}'))
    line = (home.folder / "dispatcher.toml").read_text().splitlines().index(f"password = {source}") + 1
    ended = typed("check")
    assert (ended.code, len(ended.errors)) == (code, 1)
    warning = "" if code else "warning: "
    assert ended.err.startswith(f"{warning}dispatcher.toml:{line}: senders.support.password: {words}")


def test_steps_that_jump_are_worth_a_warning(home: House, typed: Typing) -> None:
    with_config(home, ("start         = 864_000\nceiling       = 2_000_000", "steps = [100, 150, 400, 700]"))
    ended = typed("check")
    assert ended.code == 0
    assert ended.errors == [
        "warning: dispatcher.toml:5: ramps.test.steps: from 150 to 400 is 2 times or more: providers may take it ill"]


def test_without_the_folder_of_campaigns_there_is_a_warning(home: House, typed: Typing) -> None:
    (home.folder / "campaigns").rmdir()
    ended = typed("check")
    assert (ended.code, ended.errors) == (
        0, [f"warning: there is no folder {home.folder}/campaigns: [campaigns] directory has no campaigns"])
