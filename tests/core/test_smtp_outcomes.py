"""What a reply or a silence means, as a table, and what holds for any reply whatever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import Outcome, Result, Trouble
from channels.smtp_outcomes import (
    NO_MAILBOX,
    Phase,
    keeps_connection,
    outcome_of_loss,
    outcome_of_poison,
    outcome_of_reply,
    outcome_of_setup,
)
from channels.smtp_replies import NONSENSE, Reply

GO_ON = "go on"
D, R, A, Q = Result.DEFERRED, Result.REJECTED, Result.ACCEPTED, Result.IN_DOUBT
PHASES = tuple(phase for phase in Phase if phase is not Phase.CONNECT)
TABLE = [
    # reply                       banner ehlo   tls    auth   mail   rcpt   data   body dot
    ("250 ok",                    GO_ON, GO_ON, GO_ON, GO_ON, GO_ON, GO_ON, D,     D,   A),
    ("251 will forward",          GO_ON, GO_ON, GO_ON, GO_ON, GO_ON, GO_ON, D,     D,   A),
    ("354 go on",                 D,     D,     D,     D,     D,     D,     GO_ON, D,   Q),
    ("334 more",                  D,     D,     D,     D,     D,     D,     D,     D,   Q),
    ("421 bye",                   D,     D,     D,     D,     D,     D,     D,     D,   D),
    ("450 4.2.1 later",           D,     D,     D,     D,     D,     D,     D,     D,   D),
    ("550 5.1.1 unknown",         D,     D,     D,     D,     D,     R,     R,     R,   R),
    ("550 5.7.1 policy",          D,     D,     D,     D,     D,     R,     R,     R,   R),
    ("554 5.7.1 <a@b>: Relay access denied", D, D, D,  D,     D,     D,     D,     D,   D),
    ("530 5.7.0 authenticate",    D,     D,     D,     D,     D,     D,     D,     D,   D),
    ("552 5.3.4 too big",         D,     D,     D,     D,     R,     R,     R,     R,   R),
    ("550 frequency limited",     D,     D,     D,     D,     D,     D,     D,     D,   D),
    ("550 5.7.1 rate limited",    D,     D,     D,     D,     D,     D,     D,     D,   D),
    ("0 nonsense",                D,     D,     D,     D,     D,     D,     D,     D,   Q),
]
codes = st.one_of(st.just(NONSENSE), st.integers(200, 599))
replies = st.builds(Reply, codes, st.text(max_size=100) | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3} .*"))


def reply(text: str) -> Reply:
    code, _, rest = text.partition(" ")
    return Reply(int(code), rest)


@pytest.mark.parametrize(("phase", "text", "expected"), [
    (phase, row[0], cell) for row in TABLE for phase, cell in zip(PHASES, row[1:], strict=True)
])
def test_a_reply_means_what_its_phase_says(phase: Phase, text: str, expected: Result | str) -> None:
    outcome = outcome_of_reply(phase, reply(text))
    assert (GO_ON if outcome is None else outcome.result) == expected


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT])
@pytest.mark.parametrize("text", [
    "554 5.7.1 <ada@mail.example>: Relay access denied", "454 4.7.1 <ada@mail.example>: Relay access denied",
    "550 5.7.1 <ada@mail.example>... Relaying denied", "550 relay not permitted", "550 5.7.1 Unable to relay",
    "550 5.7.1 Client does not have permissions to relay", "553 sorry, relaying denied from your location",
    "551 we do not relay mail.example", "550 not allowed to relay", "550 Authentication is required for relay",
    "530 5.7.0 Must issue a STARTTLS command first", "530 5.7.0 authentication required", "535 5.7.8 who are you",
    "550 5.7.1 Authentication Required", "550 you must log in to send mail", "503 5.5.4 You must be authenticated",
])
def test_who_is_not_let_in_has_a_set_up_to_mend_and_no_recipient_is_refused(phase: Phase, text: str) -> None:
    outcome = outcome_of_reply(phase, reply(text))
    assert outcome is not None
    assert (outcome.result, outcome.trouble) == (D, Trouble.SETUP)


@pytest.mark.parametrize("text", [
    "550 5.7.1 Message rejected as spam", "550 5.7.26 This mail is unauthenticated, which poses a security risk",
    "550 5.7.1 Unauthenticated email from acme.example is not accepted due to its DMARC policy",
    "550 5.1.1 no mailbox relay@mail.example", "550 mailbox full, we relayed your complaint",
])
def test_words_about_the_message_or_the_mailbox_refuse_the_recipient(text: str) -> None:
    outcome = outcome_of_reply(Phase.RCPT, reply(text))
    assert outcome is not None
    assert outcome.result is R


@pytest.mark.parametrize(("phase", "text", "trouble"), [
    (Phase.BANNER, "554 no", Trouble.UNREACHABLE), (Phase.EHLO, "550 no", Trouble.UNREACHABLE),
    (Phase.EHLO, "421 no", Trouble.BUSY), (Phase.STARTTLS, "454 no", Trouble.UNREACHABLE),
    (Phase.STARTTLS, "502 no", Trouble.SETUP), (Phase.AUTH, "535 no", Trouble.SETUP),
    (Phase.AUTH, "454 no", Trouble.UNREACHABLE), (Phase.AUTH, "334 more", Trouble.SETUP),
    (Phase.AUTH, "0 what", Trouble.UNREACHABLE), (Phase.MAIL, "550 5.1.1 sender", Trouble.SETUP),
    (Phase.MAIL, "451 no", Trouble.NONE), (Phase.MAIL, "421 no", Trouble.BUSY), (Phase.RCPT, "450 no", Trouble.NONE),
    (Phase.RCPT, "550 no", Trouble.NONE), (Phase.RCPT, "550 4.1.1 not its class", Trouble.NONE),
    (Phase.RCPT, "550 5.1.100 no such code", Trouble.NONE), (Phase.RCPT, "550 5.1.7 sender", Trouble.NONE),
    (Phase.RCPT, "550 see 5.1.1", Trouble.NONE), (Phase.RCPT, "550 5.1.1.1 a version", Trouble.NONE),
    (Phase.RCPT, "450 4.1.1 for now", Trouble.NONE),
    *((phase, f"550 {code} gone", Trouble.BAD_ADDRESS)
      for phase in (Phase.RCPT, Phase.DATA, Phase.DOT) for code in sorted(NO_MAILBOX)),
    (Phase.DOT, "550 5.1.1 IP FREQUENCY limited", Trouble.BUSY), (Phase.DOT, "421 no", Trouble.BUSY),
    (Phase.RCPT, "450 frequency limited", Trouble.NONE), (Phase.RCPT, "550 frequent flyers unlimited", Trouble.NONE),
])
def test_the_trouble_says_whom_it_concerns(phase: Phase, text: str, trouble: Trouble) -> None:
    outcome = outcome_of_reply(phase, reply(text))
    assert outcome is not None
    assert outcome.trouble is trouble


def test_the_server_is_quoted() -> None:
    outcome = outcome_of_reply(Phase.RCPT, Reply(550, "5.1.1 no such user\n5.1.1 really"))
    said = "550 5.1.1 no such user 5.1.1 really"
    assert outcome == Outcome(Result.REJECTED, "550 5.1.1", said, Trouble.BAD_ADDRESS, reply=said)


@pytest.mark.parametrize(("phase", "text", "expected"), [
    (Phase.BANNER, "421 4.7.0 [TSS04] later", "421 4.7.0 [TSS04] later"),     # without our word about the place
    (Phase.BANNER, "554 no", "554 no"),
    (Phase.RCPT, "450 4.2.1 later", "450 4.2.1 later"),
    (Phase.DOT, "550 5.7.1 policy", "550 5.7.1 policy"),
    (Phase.DOT, "250 taken, at an unusual rate", ""),                          # it has refused nothing
    (Phase.RCPT, "0 rate limited, and no reply at all", ""),
    (Phase.DOT, "0 nonsense", ""),
])
def test_rules_see_the_server_s_words_and_none_of_ours(phase: Phase, text: str, expected: str) -> None:
    outcome = outcome_of_reply(phase, reply(text))
    assert outcome is not None
    assert outcome.reply == expected


def test_a_silence_has_no_words() -> None:
    assert {outcome_of_loss(phase, "timed out").reply for phase in Phase} == {""}
    assert outcome_of_setup("no TLS").reply == outcome_of_poison("too long").reply == ""


@given(st.sampled_from(Phase), replies)
def test_any_reply_has_a_meaning_and_only_the_dot_leaves_doubt(phase: Phase, said: Reply) -> None:
    outcome = outcome_of_reply(phase, said)
    if outcome is None:
        assert phase not in (Phase.BODY, Phase.DOT)
        return
    assert outcome.result is not Result.IN_DOUBT or phase is Phase.DOT
    assert (outcome.result is Result.ACCEPTED) == (phase is Phase.DOT and said.code in range(200, 300))
    assert outcome.reached == (phase >= Phase.MAIL)
    assert outcome.trouble is not Trouble.BAD_ADDRESS or outcome.result is Result.REJECTED
    assert len(outcome.detail) <= 500
    assert "\n" not in outcome.detail
    if outcome.result is Result.REJECTED:
        assert said.code in range(500, 600)
    if phase is Phase.DOT and said.code not in range(400, 600) and outcome.result is not Result.ACCEPTED:
        assert outcome.result is Result.IN_DOUBT


@given(st.sampled_from(Phase), st.text(max_size=600))
def test_a_loss_is_in_doubt_after_the_dot_and_deferred_before_it(phase: Phase, why: str) -> None:
    outcome = outcome_of_loss(phase, why)
    assert outcome.result is (Result.IN_DOUBT if phase is Phase.DOT else Result.DEFERRED)
    assert outcome.reached == (phase >= Phase.MAIL)
    assert (outcome.trouble is Trouble.UNREACHABLE) == (phase < Phase.MAIL)
    assert outcome.detail
    assert len(outcome.detail) <= 500


@given(st.sampled_from(Phase), replies)
def test_a_connection_is_kept_only_after_a_clean_answer_in_its_place(phase: Phase, said: Reply) -> None:
    kept = keeps_connection(phase, said)
    clean = said.code in range(400, 600) and said.code != 421
    assert kept == (phase is not Phase.BODY and (clean or (phase is Phase.DOT and said.code in range(200, 300))))


def test_what_is_wrong_with_the_way_out_keeps_the_message_and_what_is_wrong_with_the_message_ends_it() -> None:
    assert outcome_of_setup("no TLS") == Outcome(Result.DEFERRED, "", "no TLS", Trouble.SETUP, reached=False)
    assert outcome_of_poison("odd") == Outcome(Result.REJECTED, "", "not sent: odd", Trouble.NONE, reached=False)
