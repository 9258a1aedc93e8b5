"""What holds for every test."""

import pytest
from hypothesis import settings

settings.register_profile("project", deadline=None)   # no test depends on the machine's speed
settings.load_profile("project")


LONG = 200      # seconds that a test is given; whoever has so many takes some tens of them


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests begin first, spread over the workers, each of which has its share of the list: none is the last."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    late = [one for one in items if not _is_long(one)]
    early = [one for one in items if _is_long(one)]
    share = -(-len(items) // workers)
    ordered = []
    for number in range(workers):
        mine = early[number::workers]
        rest = late if number == workers - 1 else late[:share - len(mine)]
        ordered += mine + rest
        del late[:len(rest)]
    items[:] = ordered


def _is_long(item: pytest.Item) -> bool:
    timeout = item.get_closest_marker("timeout")
    return timeout is not None and timeout.args[0] >= LONG


@pytest.fixture(params=["sqlite", "postgresql"])
def both_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A story of the whole engine that is told on each: what kind of store the test's worlds have."""
    from support import postgresql, world  # noqa: PLC0415 -- heavy, and most tests need none of it

    if request.param == "postgresql":
        postgresql.need_postgresql()
    monkeypatch.setattr(world, "KEPT_IN", request.param)
