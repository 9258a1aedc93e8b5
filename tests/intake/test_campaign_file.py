import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.faults import ConfigFaults
from dispatcher.core.model import Campaign, Canary, Category, Replies, Words
from dispatcher.intake.campaign_file import campaign_from_json, campaign_to_json, read_campaign, read_campaigns

DELAY = """\
id           = "delivery-delay-berlin"
category     = "service"
senders      = ["support"]
segment_by   = "location"
segments     = ["DE/Berlin", "DE/Brandenburg", "*"]
incident     = "berlin-flood"
sequence     = 2
useful_for   = "24h"
[audience]
where  = { plan = ["pro", "team"], location = ["DE"], vip = ["yes"] }
[email]
subject   = "Your delivery may be late, {{ customer.name }}"
text_file = "email.txt"
html      = "<p>Late</p>"
[email.segments."DE/Berlin"]
subject   = "Flooding in Berlin: your delivery will be late"
reply_to  = "Berlin <support-berlin@acme.example>"
[sample]
order = "A-17"
lines = [{ n = 1, price = 2.5 }]
"""
SMALL = """\
id = "news"
category = "critical"
senders = ["support", "backup"]
[email]
subject = "Hello"
text = "Dear {{ customer.name }}"
"""


def folder_with(folder: Path, text: str, **files: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaign.toml").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def faults_in(folder: Path) -> list[str]:
    with pytest.raises(ConfigFaults) as caught:
        read_campaign(folder)
    assert {fault.file for fault in caught.value.faults} == {str(folder / "campaign.toml")}
    return [f"{fault.line}: {fault.key}: {fault.problem}" for fault in caught.value.faults]


def test_a_whole_folder_becomes_a_campaign(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfDear {{ customer.name }},\r\nlate.\r\n"
    loaded = read_campaign(folder_with(tmp_path, DELAY, email_txt=text))
    words = Words(subject="Your delivery may be late, {{ customer.name }}",
                  text="Dear {{ customer.name }},\nlate.\n", html="<p>Late</p>")
    assert loaded.campaign == Campaign(
        id="delivery-delay-berlin", category=Category.SERVICE, senders=("support",), segment_by="location",
        segments=("DE/Berlin", "DE/Brandenburg", "*"), incident="berlin-flood", sequence=2, useful_for=86_400_000,
        where={"plan": ("pro", "team"), "location": ("DE",), "vip": ("yes",)},
        words={"email": words},
        segment_words={"email": {"DE/Berlin": Words(
            subject="Flooding in Berlin: your delivery will be late", text=words.text, html=words.html,
            reply_to="Berlin <support-berlin@acme.example>")}},
        sample={"order": "A-17", "lines": [{"n": 1, "price": 2.5}]},
    )
    assert loaded.folder == tmp_path
    assert loaded.digest == hashlib.sha256(loaded.content.encode()).hexdigest()
    assert campaign_from_json(loaded.content, 0) == loaded.campaign


def test_pace_by_answers_a_canary_and_the_last_word_of_an_incident_are_read_and_kept(tmp_path: Path) -> None:
    keys = ('incident = "flood"\ncloses = true\nreplies = { agents = 6, per_hour = 8, expected = 0.03 }\n'
            'canary = { size = 50, wait = "20m" }\n[email]')
    loaded = read_campaign(folder_with(tmp_path, SMALL.replace("[email]", keys)))
    campaign = loaded.campaign
    assert (campaign.closes, campaign.replies, campaign.canary) == (
        True, Replies(agents=6, per_hour=8, expected=0.03), Canary(size=50, wait=1_200_000))
    assert campaign_from_json(loaded.content, 0) == campaign


def test_what_the_first_version_wrote_is_still_the_same_text(tmp_path: Path) -> None:
    loaded = read_campaign(folder_with(tmp_path, SMALL))
    assert loaded.digest == "6aa82f43cca51bb2138687789eec49f1baebae07550fd80902ae53901f795d2c"


@pytest.mark.parametrize(("agents", "per_hour", "expected", "messages"), [
    (6, 8, 0.03, 1_600), (1, 1, 1.0, 1), (1, 0.5, 1.0, 1), (2, 10, 0.3, 66), (1, 3, 0.1, 30),
])
def test_so_many_messages_an_hour_bring_no_more_answers_than_people_can_give(
    agents: int, per_hour: float, expected: float, messages: int
) -> None:
    assert Replies(agents, per_hour, expected).messages_per_hour == messages


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    campaign = read_campaign(folder_with(tmp_path, SMALL)).campaign
    assert campaign == Campaign(
        id="news", category=Category.CRITICAL, senders=("support", "backup"), segments=("*",),
        words={"email": Words(subject="Hello", text="Dear {{ customer.name }}")}, segment_words={"email": {}})


def test_everyone_is_for_critical_and_has_a_reason(tmp_path: Path) -> None:
    campaign = read_campaign(folder_with(tmp_path, SMALL + '[audience]\neveryone = true\nreason = "recall"\n')).campaign
    assert (campaign.everyone, campaign.reason) == (True, "recall")


def test_the_same_folder_gives_the_same_text_wherever_it_lies(tmp_path: Path) -> None:
    first = read_campaign(folder_with(tmp_path / "a", DELAY, email_txt="x"))
    second = read_campaign(folder_with(tmp_path / "b", f"\ufeff# other\n{DELAY}".replace("\n", "\r\n"), email_txt="x"))
    other = read_campaign(folder_with(tmp_path / "c", DELAY, email_txt="y"))
    assert first.content == second.content
    assert first.digest == second.digest != other.digest


HEAD = 'id = "news"\ncategory = "service"\nsenders = ["support"]\n'
MAIL = '[email]\nsubject = "Hello"\ntext = "Dear"\n'
FAULTS = [
    ("not toml", "1: "),
    (HEAD.partition("\n")[2] + MAIL, "1: id: is required and missing"),
    (HEAD.replace("news", "../news") + MAIL, "1: id: is no name"),
    (HEAD.replace("news", "") + MAIL, "1: id: is no name"),
    (HEAD.replace("service", "urgent") + MAIL, "2: category: must be"),
    (HEAD.replace('["support"]', "[]") + MAIL, "3: senders: is empty"),
    (HEAD.replace('["support"]', '["a", "b", "a"]') + MAIL, '3: senders: names "a" more than once'),
    (HEAD.replace('["support"]', '"support"') + MAIL, "3: senders: must be a list"),
    (HEAD.replace('["support"]', '["a", 5]') + MAIL, "3: senders[1]: must be a text"),
    (HEAD + 'segments = ["DE"]\n' + MAIL, "4: segments: needs segment_by"),
    (HEAD + 'segment_by = "a b"\n' + MAIL, "4: segment_by: is no field that a campaign can go by"),
    (HEAD + 'segment_by = "Plan"\n' + MAIL, "4: segment_by: is no field that a campaign can go by"),
    (HEAD + 'segment_by = "email"\n' + MAIL, "4: segment_by: is no field that a campaign can go by"),
    (HEAD + 'segment_by = "plan"\nsegments = []\n' + MAIL, "5: segments: is empty"),
    (HEAD + 'segment_by = "plan"\nsegments = ["*", "a", "*"]\n' + MAIL, '5: segments: names "*" more than once'),
    (HEAD + 'segment_by = "location"\nsegments = ["DE", "DE/"]\n' + MAIL, "5: segments[1]: has an empty part"),
    (HEAD + 'segment_by = "plan"\nsegments = [""]\n' + MAIL, "5: segments[0]: is empty"),
    (HEAD + "sequence = 2\n" + MAIL, "4: sequence: needs an incident"),
    (HEAD + 'incident = "x"\nsequence = -1\n' + MAIL, "5: sequence: must be from 0"),
    (HEAD + 'incident = "x"\nsequence = true\n' + MAIL, "5: sequence: must be a whole number"),
    (HEAD + 'incident = "x\\ny"\n' + MAIL, "4: incident: holds a line break"),
    (HEAD + 'useful_for = "soon"\n' + MAIL, "4: useful_for: is no duration"),
    (HEAD + 'useful_for = "0s"\n' + MAIL, "4: useful_for: must be from"),
    (HEAD + 'usefull_for = "1d"\n' + MAIL, '4: usefull_for: is no key here (did you mean "useful_for"?)'),
    (HEAD + "closes = true\n" + MAIL, "4: closes: needs an incident"),
    (HEAD + "closes = 1\n" + MAIL, "4: closes: must be true or false"),
    (HEAD + "canary = 5\n" + MAIL, "4: canary: must be a table"),
    (HEAD + 'canary = { wait = "20m" }\n' + MAIL, "4: canary.size: is required and missing"),
    (HEAD + 'canary = { size = 0, wait = "20m" }\n' + MAIL, "4: canary.size: must be from 1"),
    (HEAD + 'canary = { size = 5, wait = "0s" }\n' + MAIL, "4: canary.wait: must be from"),
    (HEAD + 'canary = { size = 5, wait = "20m", sise = 1 }\n' + MAIL, "4: canary.sise: is no key here"),
    (HEAD + "replies = { agents = 6, per_hour = 8 }\n" + MAIL, "4: replies.expected: is required and missing"),
    (HEAD + "replies = { agents = 0, per_hour = 8, expected = 0.1 }\n" + MAIL, "4: replies.agents: must be from 1"),
    (HEAD + "replies = { agents = 6, per_hour = 0, expected = 0.1 }\n" + MAIL, "4: replies.per_hour: must be from"),
    (HEAD + "replies = { agents = 6, per_hour = 8, expected = 3 }\n" + MAIL, "4: replies.expected: must be from"),
    (HEAD + MAIL + '[sms]\ntext = "x"\n', "7: sms: is no key here"),
    (HEAD + '[audience]\neveryone = true\nreason = "x"\n' + MAIL, "5: audience.everyone: is for category"),
    (HEAD + "[audience]\neveryone = true\n" + MAIL, "4: audience.reason: is required with everyone"),
    (HEAD + '[audience]\nreason = "x"\n' + MAIL, "5: audience.reason: means nothing"),
    (HEAD + '[audience]\nwhere = { plan = "pro" }\n' + MAIL, "5: audience.where.plan: must be a list"),
    (HEAD + "[audience]\nwhere = { plan = [] }\n" + MAIL, "5: audience.where.plan: is empty"),
    (HEAD + '[audience]\nwhere = { "a b" = ["x"] }\n' + MAIL, '5: audience.where."a b": is no field'),
    (HEAD + '[audience]\nwhere = { location = ["DE//B"] }\n' + MAIL,
     "5: audience.where.location[0]: has an empty part"),
    (HEAD, "1: email: is required and missing"),
    (HEAD + '[email]\ntext = "x"\n', "4: email.subject: is required and missing"),
    (HEAD + '[email]\nsubject = "x"\n', "4: email.text: is required and missing; give"),
    (HEAD + MAIL.replace("Hello", "a\\nBcc: x@y.example"), "5: email.subject: must be one line"),
    (HEAD + MAIL.replace("Hello", "a\\u2028b"), "5: email.subject: must be one line"),
    (HEAD + MAIL.replace("Hello", " "), "5: email.subject: is empty"),
    (HEAD + MAIL.replace("Hello", "x" * 501), "5: email.subject: has 501 characters"),
    (HEAD + MAIL.replace("Dear", "a\\u0000b"), "6: email.text: holds a control character"),
    (HEAD + MAIL.replace("Dear", ""), "6: email.text: is empty"),
    (HEAD + MAIL.replace("Dear", "x" * 262_145), "6: email.text: has 262145 bytes"),
    (HEAD + MAIL + 'text_file = "email.txt"\n', "7: email.text_file: stands beside text"),
    (HEAD + MAIL + 'reply_to = "nobody"\n', "7: email.reply_to: "),
    (HEAD + MAIL + 'html_file = "none.html"\n', "7: email.html_file: is no file"),
    (HEAD + MAIL + 'html_file = "../secret"\n', "7: email.html_file: must lie inside"),
    (HEAD + MAIL + 'html_file = "/etc/passwd"\n', "7: email.html_file: must lie inside"),
    (HEAD + MAIL + 'html_file = "link"\n', "7: email.html_file: must lie inside"),
    (HEAD + MAIL + 'html_file = "."\n', "7: email.html_file: is no file"),
    (HEAD + MAIL + 'html_file = "pipe"\n', "7: email.html_file: is no file"),
    (HEAD + MAIL + 'html_file = ""\n', "7: email.html_file: is no name of a file"),
    (HEAD + MAIL + 'html_file = "a\\u0000b"\n', "7: email.html_file: is no name of a file"),
    (HEAD + MAIL + "html_file = 5\n", "7: email.html_file: must be a text"),
    (HEAD + MAIL + f'html_file = "{"x" * 300}"\n', "7: email.html_file: "),
    (HEAD + MAIL + 'html_file = "latin.txt"\n', "7: email.html_file: is not UTF-8"),
    (HEAD + MAIL + 'html_file = "large.txt"\n', "7: email.html_file: is larger than"),
    (HEAD + MAIL + '[email.segments."DE"]\nsubject = "x"\n', "7: email.segments.DE: is none of segments"),
    (HEAD + MAIL + '[email.segments."*"]\ntext = "x"\ntext_file = "email.txt"\n',
     '9: email.segments."*".text_file: stands beside'),
    (HEAD + MAIL + "[sample]\nwhen = 2026-01-01\n", "7: sample: holds a date"),
    (HEAD + MAIL + "[sample]\nn = nan\n", "7: sample: holds nan"),
    (HEAD + MAIL + f'[sample]\nn = "{"x" * 65_536}"\n', "7: sample: has"),
    (HEAD + MAIL + f"[sample]\nn = {'[' * 65}{']' * 65}\n", "7: sample: is nested more than 64 deep"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_each_fault_is_named_with_its_line_and_key(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    folder = folder_with(tmp_path / "news", text, email_txt="x", latin_txt=b"caf\xe9", large_txt=b"x" * 262_145)
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    found = faults_in(folder)
    assert len(found) == 1, found
    assert found[0].startswith(fault)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = HEAD.replace("service", "x") + 'sequense = 1\n[email]\nsubject = ""\ntext_file = "none.txt"\n'
    assert [line.split(": ")[1] for line in faults_in(folder_with(tmp_path, text))] == [
        "category", "sequense", "email.subject", "email.text_file"]


def test_a_symlink_inside_the_folder_is_a_file_like_any_other(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, HEAD + MAIL + 'html_file = "link"\n', real_html="<p>x</p>")
    (folder / "link").symlink_to("real.html")
    assert read_campaign(folder).campaign.words["email"].html == "<p>x</p>"


def test_a_folder_without_a_campaign_is_a_fault(tmp_path: Path) -> None:
    assert len(faults_in(tmp_path)) == 1


def test_a_directory_gives_the_good_campaigns_and_the_faults_of_the_others(tmp_path: Path) -> None:
    folder_with(tmp_path / "b", HEAD + MAIL)
    folder_with(tmp_path / "a", SMALL.replace("news", "alarm"))
    folder_with(tmp_path / "broken", SMALL + "x = 1\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "campaign.toml").write_text("not of a campaign", encoding="utf-8")
    loaded, faults = read_campaigns(tmp_path)
    assert [found.campaign.id for found in loaded] == ["alarm", "news"]
    assert [(Path(fault.file).parent.name, fault.line) for fault in faults] == [("broken", 7)]


def test_two_folders_with_one_id_are_both_at_fault(tmp_path: Path) -> None:
    folder_with(tmp_path / "a", SMALL)
    folder_with(tmp_path / "b", "# a remark\n" + SMALL)
    folder_with(tmp_path / "c", SMALL.replace("news", "alarm"))
    loaded, faults = read_campaigns(tmp_path)
    assert [found.campaign.id for found in loaded] == ["alarm"]
    assert [(Path(fault.file).parent.name, fault.line, fault.key) for fault in faults] == [
        ("a", 1, "id"), ("b", 2, "id")]
    assert "the campaign in b" in faults[0].problem


def test_a_directory_that_is_not_there_is_a_fault_and_an_empty_one_is_none(tmp_path: Path) -> None:
    assert read_campaigns(tmp_path) == ([], [])
    loaded, faults = read_campaigns(tmp_path / "none")
    assert loaded == []
    assert "cannot be read" in faults[0].problem


TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
SAMPLES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)
WORDS = st.builds(Words, subject=TEXT, text=TEXT, html=TEXT, reply_to=TEXT)
CAMPAIGNS = st.builds(
    Campaign, id=TEXT, category=st.sampled_from(Category), senders=st.lists(TEXT).map(tuple), segment_by=TEXT,
    segments=st.lists(TEXT).map(tuple), incident=TEXT, sequence=st.integers(0, 9),
    useful_for=st.none() | st.integers(1, 10**12),
    where=st.dictionaries(TEXT, st.lists(TEXT).map(tuple), max_size=3), everyone=st.booleans(), reason=TEXT,
    words=st.dictionaries(st.just("email"), WORDS),
    segment_words=st.dictionaries(st.just("email"), st.dictionaries(TEXT, WORDS, max_size=3)),
    sample=st.dictionaries(TEXT, SAMPLES, max_size=3), version=st.integers(0, 9))


@given(CAMPAIGNS)
def test_the_stored_text_gives_back_exactly_the_campaign(campaign: Campaign) -> None:
    text = campaign_to_json(campaign)
    assert campaign_from_json(text, campaign.version) == campaign
    assert campaign_to_json(campaign_from_json(text, 7)) == text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
