"""Whether a campaign fits among the other updates of its incident: one for each sequence, none after the last word."""

from collections.abc import Iterable
from typing import NamedTuple

from dispatcher.core.model import Campaign
from dispatcher.store.campaigns import StoredCampaign


class Update(NamedTuple):
    """An update of an incident."""

    id: str
    incident: str
    sequence: int
    closes: bool


def update_of(one: Campaign | StoredCampaign) -> Update:
    """The update that a campaign is."""
    return Update(one.id, one.incident, one.sequence, bool(one.closes))


def misfits(one: Update, others: Iterable[Update]) -> list[str]:
    """What is wrong with an update's place among the others of its incident, and what to do."""
    faults = []
    for other in others:
        if not one.incident or other.incident != one.incident or other.id == one.id:
            continue
        if other.sequence == one.sequence:
            faults.append(f"sequence: {one.sequence} is that of {other.id} in the incident {one.incident} already; "
                          "give each update a number of its own, the later the higher")
        elif other.closes and other.sequence < one.sequence:
            faults.append(f"sequence: the incident {one.incident} is closed by {other.id} (sequence {other.sequence}), "
                          "and nothing comes after that; begin another incident, or cancel that campaign")
        elif one.closes and other.sequence > one.sequence:
            faults.append(f"closes: {other.id} (sequence {other.sequence}) comes after it in the incident "
                          f"{one.incident}; give the closing update the highest number")
    return faults
