"""`replies = { agents = 6, per_hour = 8, expected = 0.03 }`: of a campaign, or of a reply address in dispatcher.toml.

So many people can answer so many questions an hour each; so large a part of those who get a message is expected to
answer it. What leaves for them is bounded so that the expected answers are no more than people can give.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from config.addresses import normalise, parse_address
from config.faults import Placed
from config.fields import Table, between

_FORM: Final = 'write the bare address, such as [replies."support@acme.example"]'


def _reply_address(value: str) -> str:
    """A reply address, in the form in which addresses are compared."""
    try:
        parse_address(value)
    except ValueError as error:
        raise ValueError(f"is no address: it {error}; {_FORM}") from None
    return normalise(value)


ReplyAddress = Annotated[str, AfterValidator(_reply_address)]


class RepliesTable(Table):
    """All three are required: none of them could be guessed."""

    agents: Annotated[int, between(1, 100_000)]
    per_hour: Annotated[float, between(0.01, 10_000.0)]      # answers of one agent
    expected: Annotated[float, between(0.000_001, 1.0)]      # answers for each message


def same_addresses(tables: Mapping[str, Any]) -> Iterator[Placed]:
    """Addresses that stand there twice, written in two ways."""
    seen: dict[str, str] = {}
    for name in tables:
        try:
            address = normalise(name)
        except ValueError:
            continue
        if address in seen:
            yield ("replies", name), f'is the same address as "{seen[address]}"; write it once'
        seen.setdefault(address, name)
