"""Every channel with a provider of its own beside it, for the suite that all channels pass."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from support.dns_server import DnsServer, a, mx
from support.email_channels import BODY, direct_channel, email_channel, envelope
from support.smtp_server import CLOSE, SILENCE, SmtpServer, at, say

from channels.contract import Channel, Envelope


@dataclass(frozen=True)
class Rig:
    """A channel and its provider."""

    channel: Channel
    envelope: Callable[[int], Envelope]        # the nth customer's message
    received: Callable[[], list[tuple[str, bytes]]]    # recipient and body of what the provider took
    will: Callable[[str], None]                # from now on: accept | defer | reject | vanish | refuse | hang
    busy: Callable[[], int]                    # hand-overs under way at the provider at most so far
    open: Callable[[], int]                    # connections that the channel has not ended


MISDEEDS = {
    "accept": lambda _: None,
    "defer": at("rcpt", say("450 4.2.1 later")),
    "reject": at("rcpt", say("550 5.1.1 no such user")),
    "vanish": at("dot", CLOSE),
    "refuse": at("banner", say("554 no service")),
    "hang": at("dot", SILENCE),
}


def _rig(server: SmtpServer, channel: Channel, provider: str = "other") -> Rig:
    def will(deed: str) -> None:
        server.script = MISDEEDS[deed]

    return Rig(
        channel=channel,
        envelope=lambda number: replace(
            envelope(f"c{number}@customer.example", BODY + b"%d\r\n" % number), provider=provider),
        received=lambda: [(mail.recipient, mail.data) for mail in server.mails],
        will=will,
        busy=lambda: server.most_open,
        open=lambda: server.open,
    )


@asynccontextmanager
async def email_rig() -> AsyncIterator[Rig]:
    """SMTP."""
    async with SmtpServer() as server, email_channel(server.port, connections=3) as channel:
        yield _rig(server, channel)


@asynccontextmanager
async def direct_rig() -> AsyncIterator[Rig]:
    """SMTP to the servers that the DNS names, all of one provider, which bears three connections."""
    zones = {"customer.example": mx("10 mx.house.example"), "mx.house.example": a("127.0.0.1")}
    async with (
        SmtpServer() as server, DnsServer(zones) as dns,
        direct_channel(dns, server.port, bounds=lambda provider: (3 if provider == "gmail" else 0, 100)) as channel,
    ):
        yield _rig(server, channel, "gmail")


RIGS: dict[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {"email": email_rig, "direct": direct_rig}
