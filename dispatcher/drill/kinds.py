"""What can happen in a drill: every kind of event with the keys it needs and the keys it may have. Data."""

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """The keys of one kind of event, beside `at` and `kind`."""

    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()      # exactly one of these


_WHERE: Final = ("provider", "sender")
_SERVER: Final = Kind(("for",), ("share", "reply", *_WHERE))

KINDS: Final = {
    # what the servers do, for a time
    "deferrals": _SERVER,                                       # 450 4.2.1, or `reply`
    "bounces": _SERVER,                                         # 550 5.1.1, or `reply`
    "unreachable": Kind(("for",), _WHERE),                      # nobody answers
    "slow": Kind(("for", "takes"), ("share", *_WHERE)),         # a tarpit: each hand-over takes so long
    "doubt": Kind(("for",), ("share", *_WHERE)),                # the connection ends after the final dot
    # what people say of us
    "complaints": Kind((), ("provider",), ("share", "count")),  # of those who were sent to in the last day
    # what becomes of the daemon
    "crash": Kind((), ("for", "turns", "during")),              # as by kill -9; back after `for`
    "stop": Kind(("for",)),                                     # in good order; back after `for`
    "reload": Kind(("set",)),
    "clock": Kind(("jump",)),                                   # the wall clock is put forward or back
    # what operators and producers do
    "hold": Kind(("reason",), ("name", "for")),
    "resume": Kind((), ("name",)),
    "suppress": Kind((), ("provider",), ("share", "count")),
    "cancel": Kind(("campaign",), ("reason",)),
    "approve": Kind(("campaign", "by")),
    "send": Kind(("campaign",)),
}
