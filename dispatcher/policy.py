"""What the configuration in force comes to, as the core's values: made once for each load, passed to whoever decides.

A reload makes a new Policy and leaves the old one as it was; nothing reads settings piecemeal while they change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from config.addresses import normalise, parse_mailbox
from config.model import Settings
from config.providers import load_providers
from config.ramps import Ramp
from config.replies import RepliesTable
from config.reply_rules import ReplyRule, shipped_rules
from config.reputation_table import ReputationTable
from config.resolve import resolve_ramp
from dispatcher.core.audience import Cap, Rules
from dispatcher.core.evidence import Line, Lines
from dispatcher.core.lanes import ProviderOf
from dispatcher.core.model import Campaign, Category, Lane, Replies
from dispatcher.core.retry import RetryRules
from dispatcher.providers import ProviderBook


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings, and what follows from them."""

    settings: Settings
    rules: Rules
    retry: RetryRules
    stale_after: int
    channels: Mapping[str, str]              # sender -> channel
    provider_of: ProviderOf
    ramp_of: Callable[[str], Ramp | None]    # lane -> its ramp; None where the sender is no longer configured
    lines: Lines
    reply_rules: Sequence[ReplyRule]         # the file's own before the shipped ones
    providers: ProviderBook                  # what provider_of knows beyond the shipped table
    replies: Mapping[str, Replies]           # reply address, normalised -> what people there can answer

    def questions(self, addresses: Iterable[str]) -> list[str]:
        """The domains of these addresses whose provider is to be asked of the DNS."""
        return self.providers.questions(addresses) if self.settings.mx.lookup else []


def policy_of(settings: Settings, providers: ProviderBook | None = None) -> Policy:
    """The policy of these settings; a reload hands over what is known of domains."""
    book = providers if providers is not None else ProviderBook()

    @lru_cache(maxsize=4096)
    def ramp_of(lane: str) -> Ramp | None:
        sender, _, provider = lane.partition("/")
        configured = settings.senders.get(sender)
        return resolve_ramp(settings, configured.ramp, provider) if configured is not None else None

    return Policy(
        settings=settings,
        rules=Rules(
            active_within=settings.audience.active_within,
            activity=settings.audience.activity,
            quiet_hours=settings.quiet.hours,
            caps={Category(name): Cap(cap.most, cap.within) for name, cap in settings.frequency.items()},
        ),
        retry=RetryRules(settings.retry.delays, settings.retry.give_up_after),
        stale_after=settings.audience.stale_after,
        channels={name: sender.channel for name, sender in settings.senders.items()},
        provider_of=book.provider_of if settings.mx.lookup else load_providers().provider_of,
        ramp_of=ramp_of,
        lines=lines_of(settings.reputation),
        reply_rules=(*(table.rule for table in settings.reputation.rules), *shipped_rules()),
        providers=book,
        replies={address: replies_of(table) for address, table in settings.replies.items()},
    )


def lines_of(table: ReputationTable) -> Lines:
    """A file's lines as the core's value."""
    return Lines(table.minimum, Line(table.bounces.slow, table.bounces.hold),
                 Line(table.complaints.slow, table.complaints.hold), table.deferrals.slow)


def replies_of(table: RepliesTable) -> Replies:
    """A file's words as the core's value."""
    return Replies(table.agents, table.per_hour, table.expected)


def replies_for(policy: Policy, campaign: Campaign, lane: str, segment: str) -> dict[str, int]:
    """The groups that messages of a campaign's segment in a lane belong to: group -> its messages an hour at most.

    What people can answer, by the configured `expected`; where replies come to be counted, what is learned from them
    comes in here and nowhere else.
    """
    found = {}
    if campaign.replies is not None:
        found[f"campaign {campaign.id}"] = campaign.replies.messages_per_hour
    address = _reply_address(policy, campaign, lane, segment) if policy.replies else ""
    if address in policy.replies:
        found[f"replies to {address}"] = policy.replies[address].messages_per_hour
    return found


def _reply_address(policy: Policy, campaign: Campaign, lane: str, segment: str) -> str:
    """Where answers to a segment's messages go, normalised: the words' reply_to, the sender's, or its from."""
    name = split_lane(lane).sender
    channel, sender = policy.channels.get(name, ""), policy.settings.senders.get(name)
    words = campaign.segment_words.get(channel, {}).get(segment) or campaign.words.get(channel)
    if words is not None and words.reply_to:
        return _address_in(words.reply_to)
    if sender is None:
        return ""
    return _address_in(str(sender.reply_to or sender.from_))


@lru_cache(maxsize=4096)
def _address_in(mailbox: str) -> str:
    """The address of a mailbox as words have it, normalised; "" where a template makes it, for each customer anew."""
    try:
        return normalise(str(parse_mailbox(mailbox).address))
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def split_lane(lane: str) -> Lane:
    """The lane of its written name."""
    sender, _, provider = lane.partition("/")
    return Lane(sender, provider)
