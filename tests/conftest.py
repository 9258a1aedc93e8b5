"""What holds for every test."""

import pytest
from hypothesis import settings

settings.register_profile("project", deadline=None)   # no test depends on the machine's speed
settings.load_profile("project")


@pytest.fixture(params=["sqlite", "postgresql"])
def both_stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A story of the whole engine that is told on each: what kind of store the test's worlds have."""
    from support import postgresql, world  # noqa: PLC0415 -- heavy, and most tests need none of it

    if request.param == "postgresql":
        postgresql.need_postgresql()
    monkeypatch.setattr(world, "KEPT_IN", request.param)
