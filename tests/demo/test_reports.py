"""The demo's reports: told in a few lines, and kept as a page where its reader finds it."""

import errno
from pathlib import Path

import pytest
from support.reports import storm

from dispatcher.demo import reports
from dispatcher.demo.reports import NAME, keep, summaries


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder that the demo is started in, and that of temporary files."""
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(reports, "gettempdir", lambda: str(temporary))
    return here, temporary


def test_the_page_stays_in_the_folder_that_the_demo_was_started_in(places: tuple[Path, Path]) -> None:
    here, temporary = places
    assert keep([storm()]) == here / NAME
    assert keep([storm(), storm()]) == here / NAME
    assert [path.name for path in here.iterdir()] == [NAME]
    assert list(temporary.iterdir()) == []


def test_where_that_cannot_be_written_it_is_among_the_temporary_files(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, temporary = places
    (here / NAME).mkdir()
    first = keep([storm()])
    assert (first.parent, first.suffix, first.read_text()[:15]) == (temporary, ".html", "<!doctype html>")
    (here / NAME).rmdir()
    write = reports.write_page

    def read_only(told: list[dict[str, object]], path: Path, title: str) -> None:
        if path.parent == here:
            raise OSError(errno.EROFS, "Read-only file system")
        write(told, path, title)

    monkeypatch.setattr(reports, "write_page", read_only)
    second = keep([storm()])
    assert second.parent == temporary
    assert second != first
    assert list(here.iterdir()) == []


def test_each_campaign_is_told_in_a_few_lines() -> None:
    lines = list(summaries([storm(), storm()]))
    assert len(lines) == 12
    assert lines[0] == lines[6] == ""
    assert lines[1] == "delivery-delay (service, version 2): 480 messages"
