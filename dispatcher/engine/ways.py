"""The ways out: for every configured sender its channel, its turns and its words.

A reload that changes a sender replaces its way; the old one finishes what it has begun and is then closed.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from channels.contract import Channel
from channels.dns import DnsOptions, Names
from channels.email import EmailOptions
from channels.registry import builder_of
from config.model import Mx, Sender, Settings
from config.providers import OTHER, load_providers
from dispatcher.content.cache import Skeletons
from dispatcher.content.skeleton import Letter, SenderIdentity
from dispatcher.core.model import Lane
from dispatcher.engine.underway import Item

WAITING: Final = 4
"""In the lane of everyone else so many times its connections may have begun: who waits for a slow domain's own bound
takes no turn from the others (channels/smtp_doors.py)."""


class Turns:
    """How many hand-overs of a sender run side by side: in order of asking, as many as its channel is wide.

    A direct sender has turns for each provider, so that one that is slow takes none from the others (promise P14). The
    lanes of a relay share its connections, for they share its server.
    """

    def __init__(self, width: Callable[[str], int], *, shared: bool) -> None:
        self._width = width
        self._shared = shared
        self._turns: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def take(self, provider: str) -> None:
        """Wait for a turn."""
        await self._of(provider).acquire()

    def free(self, provider: str) -> None:
        """Give a turn back."""
        self._of(provider).release()

    async def take_all(self) -> None:
        """Wait until everybody has given back what they had."""
        for turns, width in list(self._turns.values()):
            for _ in range(width):
                await turns.acquire()

    def free_all(self) -> None:
        """Give all turns back: whoever waits for one sees that nothing comes of it."""
        for turns, width in self._turns.values():
            for _ in range(width):
                turns.release()

    def _of(self, provider: str) -> asyncio.Semaphore:
        key = "" if self._shared else provider
        found = self._turns.get(key)
        if found is None:
            width = self._width(provider)
            self._turns[key] = found = (asyncio.Semaphore(width), width)
        return found[0]


@dataclass(slots=True)
class Way:
    """One sender's way out."""

    sender: Sender
    identity: SenderIdentity
    channel: Channel
    turns: Turns
    skeletons: Skeletons = field(default_factory=Skeletons)
    retired: bool = False

    @property
    def resend_in_doubt(self) -> bool:
        """Whether a message that was perhaps sent is sent again, the very same bytes."""
        return self.sender.in_doubt == "resend"

    def letter(self, item: Item) -> Letter:
        """The item's words as bytes; raises MessageFault or TemplateFaults where they cannot be made."""
        ready = item.ready
        message = ready.message
        if message.released_at is None:
            message = replace(message, released_at=item.released_at)
        skeleton = self.skeletons.get(ready.campaign, ready.route.segment, self.identity)
        return skeleton.fill(message, ready.customer)

    async def retire(self) -> None:
        """Let what has begun finish, close the channel, and send whoever still waits for a turn elsewhere."""
        await self.turns.take_all()
        self.retired = True
        await self.channel.close()
        self.turns.free_all()


def identity_of(name: str, sender: Sender) -> SenderIdentity:
    """Who a sender's messages are from."""
    return SenderIdentity(name, sender.from_, sender.reply_to)


def turns_of(sender: Sender, channel: Channel) -> Turns:
    """The turns of a sender."""
    def of_provider(provider: str) -> int:
        connections = load_providers().bounds(provider)[0]
        return connections * WAITING if provider == OTHER else connections

    if sender.server.direct:
        return Turns(of_provider, shared=False)
    return Turns(lambda _: channel.width, shared=True)


def channel_of(sender: Sender, names: Callable[[], Names] | None = None) -> Channel:
    """The channel that a sender's settings describe; a direct one asks `names`. ValueError where it cannot be."""
    options = EmailOptions(
        server=sender.server, mail_from=_envelope_sender(sender), connections=sender.connections,
        username=sender.username or "", password=sender.password.get_secret_value() if sender.password else None,
        ca_file=str(sender.ca_file) if sender.ca_file else None, helo=sender.helo or "",
        names=names,
    )
    return builder_of(sender.channel)(options)


def _envelope_sender(sender: Sender) -> str:
    return str(sender.from_.address)


class Ways:
    """The ways of the senders in force."""

    def __init__(self, build: Callable[[Sender], Channel] | None = None) -> None:
        self._mx = Mx()
        self._names: Names | None = None
        self._build = build or partial(channel_of, names=lambda: self.names(self._mx))
        self._ways: dict[str, Way] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def of(self, sender: str) -> Way | None:
        """A sender's way; None where it is not configured (any more)."""
        return self._ways.get(sender)

    def names(self, mx: Mx) -> Names:
        """The name service by these settings; the same one, with all that it has heard, while they stay the same."""
        options = DnsOptions(mx.nameservers, mx.timeout)
        if self._names is None or self._names.options != options:
            self._names = Names(options)
        return self._names

    def use(self, settings: Settings) -> None:
        """Go by these settings from the next hand-over on. ValueError, and no change, where a channel cannot be."""
        fresh: dict[str, Way] = {}
        for name, sender in settings.senders.items():
            before = self._ways.get(name)
            fresh[name] = before if before is not None and before.sender == sender else self._way(name, sender)
        gone = [way for name, way in self._ways.items() if fresh.get(name) is not way]
        self._ways, self._mx = fresh, settings.mx
        for way in gone:
            task = asyncio.get_running_loop().create_task(way.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _way(self, name: str, sender: Sender) -> Way:
        channel = self._build(sender)
        return Way(sender, identity_of(name, sender), channel, turns_of(sender, channel))

    async def turn(self, lane: Lane) -> Way | None:
        """Wait for a turn of a lane; the caller gives it back. None where the sender is gone."""
        while (way := self._ways.get(lane.sender)) is not None:
            await way.turns.take(lane.provider)
            if not way.retired:
                return way
            way.turns.free(lane.provider)
        return None

    async def close(self) -> None:
        """Close every channel, when no hand-over is under way any more."""
        ways: Mapping[str, Way] = self._ways
        await asyncio.gather(*(way.channel.close() for way in ways.values()), *self._retiring)


