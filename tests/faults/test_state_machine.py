"""A daemon for weeks in a second, and everything that can befall it, in any order (promises P2, P3, P5, P6, P7, P8).

What happens is in support/machine.py, what must hold after every step in support/machine_promises.py; with a second
daemon: test_two_daemons.py.

Bugs that were planted to see whether the harness bites, one at a time, and what caught them. Here: a batch that is not
reserved in the ledger; a budget that does not know what the step has spent; what had begun at a crash taken as not
handed over; a stop that does not reach what is released; another attempt in the words of today; a released slot
released again after a restart; moves that forget the tallies; a hold that the release does not look at; a doubt that
is not counted. In test_every_commit.py: hand-overs that begin before their mark is durable; a deferred message that
nobody looks at in time. In tests/engine: a customer who changes while a message of his is out; lanes that are not
told of messages that moved to them; a late slot of full size; two readers of one run, which send twice.
"""

import pytest
from hypothesis import HealthCheck, settings
from support.machine import Machine

pytestmark = pytest.mark.timeout(300)    # a minute of one core, where nothing else runs

Machine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
TestDaemon = Machine.TestCase
