"""What can be wrong with words: in a template (its author can act), or in one message (only that one suffers).

Neither text holds a customer's or a producer's values, only names of fields, so that both may be stored and logged.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """One thing wrong with a campaign's words."""

    place: str      # "email.subject", 'email.segments."DE/Berlin".html'
    line: int       # within the template, from 1; 0 where it concerns all of it
    problem: str    # what is wrong and what to do

    def __str__(self) -> str:
        where = f"{self.place} line {self.line}" if self.line else self.place
        return f"{where}: {self.problem}"


class TemplateFaults(ValueError):  # noqa: N818 -- the faults of a campaign's templates, in the project's word
    """A campaign's words cannot be used; `faults` has all that was found."""

    def __init__(self, faults: tuple[TemplateFault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


class MessageFault(Exception):  # noqa: N818 -- the project's word
    """This message cannot be written; others of its campaign may well be. `reason` is one line for a person.

    `fault` says where in the campaign's words it showed, if it did there.
    """

    def __init__(self, reason: str, fault: TemplateFault | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


class RenderFault(Exception):  # noqa: N818 -- the project's word
    """A template failed on the values of one message."""

    def __init__(self, fault: TemplateFault) -> None:
        super().__init__(str(fault))
        self.fault = fault
