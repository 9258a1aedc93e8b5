"""What many of these tests stand on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest_asyncio
from support.smtp_server import SmtpServer


@pytest_asyncio.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as it:
        yield it


@pytest_asyncio.fixture
async def stack(server: SmtpServer) -> AsyncIterator[AsyncExitStack]:
    """What is entered ends with the test, in time for its server."""
    async with AsyncExitStack() as it:
        yield it
