"""In a drill nothing can reach anybody: there is no channel that could, and the process has its doors locked."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from support.drills import SMALL, drill, drilled, event

from config.providers import is_reserved
from dispatcher.drill.house import House
from dispatcher.drill.people import People, domain_of
from dispatcher.drill.provider import Post
from dispatcher.drill.rehearsal import Rehearsal
from dispatcher.drill.seal import ReachedOutError, sealed
from dispatcher.engine.ways import Ways


def test_no_socket_no_name_and_no_program_is_asked_for_in_a_drill(tmp_path):
    asked = []
    watching = [True]

    def hook(name, _arguments):
        if watching and name.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "smtp")):
            asked.append(name)

    sys.addaudithook(hook)
    result = drilled(tmp_path, event("day 1 10:00", "crash"), event("day 1 12:00", "unreachable", for_="1h"))
    watching.clear()
    assert result["handed_over"] >= 24
    # Of sockets there is the loop's own pair, which has no address.
    assert set(asked) <= {"socket.__new__"}


@pytest.mark.parametrize("reach", [
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: socket.getaddrinfo("localhost", 25),
    lambda: socket.gethostbyname("localhost"),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    lambda: socket.socket(socket.AF_UNIX).connect("/nowhere"),
    lambda: socket.socket().bind(("127.0.0.1", 0)),
    lambda: subprocess.run([sys.executable, "-V"], check=True),
    lambda: os.system("true"),  # noqa: S605, S607 -- as above
    lambda: asyncio.run(asyncio.open_connection("127.0.0.1", 9)),
])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_whatever_would_open_a_way_out_fails(reach):
    with sealed(), pytest.raises(ReachedOutError, match="wanted to reach outside"):
        reach()


def test_the_doors_are_open_again_after_it():
    with sealed():
        pass
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def test_customers_live_where_nobody_can(tmp_path):
    people = People(drill(tmp_path).table.customers)
    domains = {people.address(number).rpartition("@")[2] for number in range(people.table.count)}
    assert domains == {domain_of("gmail"), domain_of("outlook")}
    assert all(is_reserved(domain) for domain in domains)


def test_servers_passwords_and_places_are_taken_out_of_a_rehearsed_configuration(tmp_path):
    (tmp_path / "dispatcher.toml").write_text(
        '[ramps.mine]\nstart = 7\n[senders.shop]\nfrom = "shop@acme.example"\nramp = "mine"\nserver = "direct://"\n'
        '[store]\nurl = "sqlite:////var/lib/dispatcher/dispatcher.db"\n[mx]\nlookup = true\n')
    text = SMALL.partition("[ramps.careful]")[0] + 'config = "dispatcher.toml"\n[customers]' + SMALL.partition(
        "[customers]")[2]
    folder = tmp_path / "house"
    folder.mkdir()
    found = House(folder, drill(tmp_path, text=text)).settings()
    assert found.senders["shop"].server.host == "drill.invalid"
    assert found.store.path == folder / "store.db"
    assert str(found.http.socket) == "/nobody-listens-in-a-drill"
    assert found.campaigns.directory == folder / "campaigns"


def test_the_ways_of_a_drill_are_built_with_scripted_channels_and_the_dns_is_asked_by_nobody(tmp_path):
    async def look():
        one = Rehearsal(drill(tmp_path), tmp_path)
        await one.stage.open()
        works = one.stage.works
        works.ways.use(works.policy.settings)
        channel = works.ways.of("support").channel
        await one.stage.database.close()
        return channel, works.ask, works.ways

    channel, ask, ways = asyncio.run(look())
    assert isinstance(channel._post, Post)
    assert ask is None
    assert isinstance(ways, Ways)


def test_a_drill_without_its_channels_does_not_begin(tmp_path):
    async def go():
        one = Rehearsal(drill(tmp_path), tmp_path)
        one.stage.build = None
        try:
            await one.stage.open()
        finally:
            await one.stage.database.close()

    with pytest.raises(RuntimeError, match="no channels but its own"):
        asyncio.run(go())
