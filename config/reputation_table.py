"""[reputation]: the rates from which on a lane is slowed or held, and the file's own reply rules.

The defaults are those of numbers that providers publish: bounces, Amazon SES (reviews at 5 %, may pause at 10 %);
complaints, Google (below 0.1 %, never 0.3 %). Nobody publishes one for deferrals. Rates are parts of one: 0.03 is 3 %.
"""

from collections import Counter
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.faults import placed
from config.fields import Table, between
from config.reply_rules import RuleTable

Part = Annotated[float, between(0.000_1, 1.0)]


class _Lines(Table):
    """Two lines."""

    @model_validator(mode="after")
    def _rise(self) -> Self:
        slow, hold = getattr(self, "slow"), getattr(self, "hold")  # noqa: B009 -- each table has its own defaults
        if hold < slow:
            raise placed([(("hold",), f"is below slow ({slow}); a lane is slowed before it is held")])
        return self


class Bounces(_Lines):
    """Refused for good, of the messages that were taken or refused."""

    slow: Part = 0.03
    hold: Part = 0.05


class Complaints(_Lines):
    """Complaints, of the messages that were taken."""

    slow: Part = 0.001
    hold: Part = 0.003


class Deferrals(Table):
    """Deferred attempts, of the newest ones; nothing holds a lane for them."""

    slow: Part = 0.2


class ReputationTable(Table):
    """[reputation]."""

    minimum: Annotated[int, between(20, 1_000_000)] = 200       # answers in 7 days below which no rate is judged
    bounces: Bounces = Bounces()
    complaints: Complaints = Complaints()
    deferrals: Deferrals = Deferrals()
    rules: tuple[RuleTable, ...] = Field(strict=False, max_length=100, default=())      # tried before the shipped ones

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        seen: Counter[str] = Counter()
        faults = []
        for place, rule in enumerate(self.rules):
            seen[rule.name] += 1
            if seen[rule.name] > 1:
                faults.append((("rules", place, "name"), "is the name of another rule, too; each has its own"))
        if faults:
            raise placed(faults)
        return self
