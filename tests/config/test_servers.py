import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.servers import Server, Tls, parse_server


@pytest.mark.parametrize(("url", "server"), [
    ("smtp://localhost", Server("localhost", 25, Tls.OFFERED)),
    ("smtp://localhost:2525/", Server("localhost", 2525, Tls.OFFERED)),
    ("smtp://Mail.Acme.Example:587?tls=required", Server("mail.acme.example", 587, Tls.REQUIRED)),
    ("smtp://10.0.0.1?tls=off", Server("10.0.0.1", 25, Tls.OFF)),
    ("smtps://mail.acme.example", Server("mail.acme.example", 465, Tls.IMPLICIT)),
    ("smtps://[2001:DB8::1]:4650", Server("2001:db8::1", 4650, Tls.IMPLICIT)),
    ("smtp://mail_relay:25", Server("mail_relay", 25, Tls.OFFERED)),
    ("direct://", Server("", 25, Tls.OFFERED)),
    ("direct:///", Server("", 25, Tls.OFFERED)),
    ("direct://?tls=required", Server("", 25, Tls.REQUIRED)),
    ("direct://?port=2525&tls=off&private=yes", Server("", 2525, Tls.OFF, private=True)),
])
def test_a_server_is_read_as_it_is_written(url: str, server: Server) -> None:
    assert parse_server(url) == server
    assert parse_server(str(server)) == server


@pytest.mark.parametrize(("url", "why"), [
    ("", "is no server"),
    ("localhost:25", "is no server"),
    ("smtp:localhost", "is no server"),
    ("http://localhost", "unknown scheme"),
    ("SMTP://localhost", "unknown scheme"),
    ("smtp://", "host name"),
    ("smtp://:25", "host name"),
    ("smtp://mail acme", "host name"),
    ("smtp://exämple.org", "host name"),
    ("smtp://[::g]", "IPv6"),
    ("smtp://[127.0.0.1]", "IPv6"),
    ("smtp://localhost:", "port"),
    ("smtp://localhost:0", "port"),
    ("smtp://localhost:65536", "port"),
    ("smtp://localhost:x", "port"),
    ("smtp://localhost/relay", "goes on"),
    ("smtp://localhost?tls=maybe", "unknown option"),
    ("smtp://localhost?private=yes", "unknown option"),
    ("direct://mx.acme.net", "names a server"),
    ("direct://:25", "names a server"),
    ("direct:///relay", "names a server"),
    ("direct://user@", "user name"),
    ("direct://?tls=offered", "the options of direct:// are"),
    ("direct://?tls=off&tls=required", "each once"),
    ("direct://?private=no", "the options of direct:// are"),
    ("direct://?port=25&", "the options of direct:// are"),
    ("direct://?port=", "port"),
    ("direct://?port=70000", "port"),
    ("smtp://localhost?tls=required&x=1", "unknown option"),
    ("smtp://localhost?TLS=off", "unknown option"),
    ("smtps://localhost?tls=required", "TLS from the start"),
    ("smtps://localhost?tls=off", "TLS from the start"),
    ("smtp://localhost#x", "is no server"),
    ("smtp://local\nhost", "host name"),
])
def test_what_is_no_server_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_server(url)


@pytest.mark.parametrize("user", ["acme", "acme:hunter2", "", ":", "a%40b"])
def test_a_user_in_the_url_is_refused_and_not_repeated(user: str) -> None:
    with pytest.raises(ValueError, match="write it as username and password") as refused:
        parse_server(f"smtp://{user}@localhost")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("host", "stays"), [
    ("localhost", True), ("127.0.0.1", True), ("127.3.2.1", True), ("[::1]", True), ("mail.localhost", True),
    ("10.0.0.1", False), ("mail.acme.example", False), ("localhost.acme.example", False),
])
def test_what_goes_to_a_loopback_host_stays_on_the_machine(host: str, stays: bool) -> None:  # noqa: FBT001 -- a table's column
    assert parse_server(f"smtp://{host}").loopback is stays


@given(st.text() | st.text().map("smtp://{}".format))
def test_any_text_is_a_server_or_refused(text: str) -> None:
    try:
        server = parse_server(text)
    except ValueError:
        return
    assert parse_server(str(server)) == server
