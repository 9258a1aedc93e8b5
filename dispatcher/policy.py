"""What the configuration in force comes to, as the core's values: made once for each load, passed to whoever decides.

A reload makes a new Policy and leaves the old one as it was; nothing reads settings piecemeal while they change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from config.model import Settings
from config.providers import load_providers
from config.ramps import Ramp
from config.resolve import resolve_ramp
from dispatcher.core.audience import Cap, Rules
from dispatcher.core.lanes import ProviderOf
from dispatcher.core.model import Category, Lane
from dispatcher.core.retry import RetryRules


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


def policy_of(settings: Settings) -> Policy:
    """The policy of these settings."""
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
        provider_of=load_providers().provider_of,
        ramp_of=ramp_of,
    )


@lru_cache(maxsize=4096)
def split_lane(lane: str) -> Lane:
    """The lane of its written name."""
    sender, _, provider = lane.partition("/")
    return Lane(sender, provider)
