"""The ways out: for every configured sender its channel, its turns and its words.

A reload that changes a sender replaces its way; the old one finishes what it has begun and is then closed.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from channels.contract import Channel
from channels.email import EmailOptions
from channels.registry import builder_of
from config.model import Sender, Settings
from dispatcher.content.cache import Skeletons
from dispatcher.content.skeleton import Letter, SenderIdentity
from dispatcher.engine.underway import Item


@dataclass(slots=True)
class Way:
    """One sender's way out."""

    sender: Sender
    identity: SenderIdentity
    channel: Channel
    turn: asyncio.Semaphore            # as many hand-overs side by side as the channel is wide, in order of asking
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
        for _ in range(self.channel.width):
            await self.turn.acquire()
        self.retired = True
        await self.channel.close()
        for _ in range(self.channel.width):
            self.turn.release()


def identity_of(name: str, sender: Sender) -> SenderIdentity:
    """Who a sender's messages are from."""
    return SenderIdentity(name, sender.from_, sender.reply_to)


def channel_of(sender: Sender) -> Channel:
    """The channel that a sender's settings describe. ValueError where it cannot be."""
    options = EmailOptions(
        server=sender.server, mail_from=_envelope_sender(sender), connections=sender.connections,
        username=sender.username or "", password=sender.password.get_secret_value() if sender.password else None,
        ca_file=str(sender.ca_file) if sender.ca_file else None, helo=sender.helo or "",
    )
    return builder_of(sender.channel)(options)


def _envelope_sender(sender: Sender) -> str:
    return str(sender.from_.address)


class Ways:
    """The ways of the senders in force."""

    def __init__(self, build: Callable[[Sender], Channel] = channel_of) -> None:
        self._build = build
        self._ways: dict[str, Way] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def of(self, sender: str) -> Way | None:
        """A sender's way; None where it is not configured (any more)."""
        return self._ways.get(sender)

    def use(self, settings: Settings) -> None:
        """Go by these settings from the next hand-over on. ValueError, and no change, where a channel cannot be."""
        fresh: dict[str, Way] = {}
        for name, sender in settings.senders.items():
            before = self._ways.get(name)
            fresh[name] = before if before is not None and before.sender == sender else self._way(name, sender)
        gone = [way for name, way in self._ways.items() if fresh.get(name) is not way]
        self._ways = fresh
        for way in gone:
            task = asyncio.get_running_loop().create_task(way.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    def _way(self, name: str, sender: Sender) -> Way:
        channel = self._build(sender)
        return Way(sender, identity_of(name, sender), channel, asyncio.Semaphore(channel.width))

    async def turn(self, sender: str) -> Way | None:
        """Wait for a turn at a sender; the caller releases it. None where the sender is gone."""
        while (way := self._ways.get(sender)) is not None:
            await way.turn.acquire()
            if not way.retired:
                return way
            way.turn.release()
        return None

    async def close(self) -> None:
        """Close every channel, when no hand-over is under way any more."""
        ways: Mapping[str, Way] = self._ways
        await asyncio.gather(*(way.channel.close() for way in ways.values()), *self._retiring)


