"""Reply rules: what a server's reply means for its lane. As data: [[reputation.rules]], then presets/replies.toml.

A rule sees the server's own words and nothing else (channels/contract.py, `reply`), and of them the first 200
characters. So that no rule, however it was meant, stops the daemon on some reply, what its expression may take is
bounded (reply_bounds.py).
"""

import re
import tomllib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from config.faults import any_of, nearest, placed
from config.fields import Duration, Line, Table, between
from config.providers import load_providers
from config.reply_bounds import SEEN, bounded, tokens_of

ANY: Final = "*"
LONGEST: Final = 200        # characters of an expression


class Action(StrEnum):
    """What a rule does to its lane."""

    SLOW = "slow"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """One rule, ready to be used."""

    name: str
    provider: str               # ANY: every one
    reply: re.Pattern[str]
    action: Action
    time: int | None            # milliseconds that it lasts; None: of a hold, until a person resumes
    per_minute: int | None      # what a slowed lane may send meanwhile

    def speaks_of(self, provider: str, reply: str) -> bool:
        """Whether a reply of a provider is meant."""
        return self.provider in {ANY, provider} and self.reply.search(reply, 0, SEEN) is not None


def rule_for(rules: Sequence[ReplyRule], provider: str, reply: str) -> ReplyRule | None:
    """The first rule that speaks of a reply; none for the empty one."""
    return next((rule for rule in rules if rule.speaks_of(provider, reply)), None) if reply else None


def _expression(text: str) -> str:
    """An expression that compiles and cannot take long."""
    if not text or len(text) > LONGEST:
        raise ValueError(f"must have 1 to {LONGEST} characters")
    try:
        with warnings.catch_warnings(action="ignore"):      # of sets that a later Python may read in another way
            compiled = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if compiled.search("") is not None:
        raise ValueError("matches anything; write the words that the reply must have")
    tokens = tokens_of(text)
    if "(?" in tokens or any(re.fullmatch(r"\\[1-9]", token) for token in tokens):
        raise ValueError("may not use (?...) but for (?:...), (?=...) and (?!...), nor refer back to a group")
    bounded(text, tokens)
    return text


def _provider(name: str) -> str:
    known = (ANY, *load_providers().names)
    if name not in known:
        raise ValueError(f"is no provider{nearest(name, known)}; the providers are {any_of(known)}")
    return name


class RuleTable(Table):
    """[[reputation.rules]]: one rule."""

    name: Annotated[Line, Field(max_length=60)]
    reply: Annotated[str, AfterValidator(_expression)]          # found anywhere in the reply, in any case of letters
    action: Literal["slow", "hold"]
    provider: Annotated[str, AfterValidator(_provider)] = ANY
    for_: Annotated[Duration | None, Field(alias="for")] = None     # a hold without it lasts until a person resumes
    per_minute: Annotated[int, between(1, 1_000_000)] | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.action == "hold" and self.per_minute is not None:
            raise placed([(("per_minute",), 'is for action = "slow"; a held lane sends nothing')])
        if self.action == "slow" and self.for_ is None:
            raise placed([(("for",), 'is required with action = "slow": how long it lasts')])
        return self

    @property
    def rule(self) -> ReplyRule:
        """The rule, ready to be used."""
        with warnings.catch_warnings(action="ignore"):
            reply = re.compile(self.reply, re.IGNORECASE)
        return ReplyRule(self.name, self.provider, reply, Action(self.action), self.for_, self.per_minute)


class RuleFile(Table):
    """presets/replies.toml."""

    rules: tuple[RuleTable, ...] = Field(strict=False)


@cache
def shipped_rules() -> tuple[ReplyRule, ...]:
    """The rules that come with the package."""
    text = resources.files("config").joinpath("presets/replies.toml").read_text(encoding="utf-8")
    return tuple(table.rule for table in RuleFile.model_validate(tomllib.loads(text)).rules)
