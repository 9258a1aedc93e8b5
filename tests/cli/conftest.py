"""Commands typed into this very process: quicker than a new one for each, with the same parts."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from support.command_line import Ended, House, Typing, house

from dispatcher.cli.main import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A folder with a configuration, and this process in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPATCHER_CONFIG", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    return house(tmp_path)


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Iterator[Typing]:
    """Type a command; how it ended."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level

    def run(*words: str | Path) -> Ended:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    yield run
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
