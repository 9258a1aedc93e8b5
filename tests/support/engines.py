"""The engine composed for a bench: a store in a folder, one campaign, customers, an SMTP server in its own process."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

from support.fresh import new_store

from config.load import load_settings
from dispatcher.clock import SystemClock
from dispatcher.core.model import Customer
from dispatcher.engine import expand
from dispatcher.engine.daemon import Engine
from dispatcher.engine.journal import Journal
from dispatcher.engine.works import Works
from dispatcher.intake.campaign_file import read_campaign
from dispatcher.policy import policy_of
from dispatcher.store import campaigns, customers, tallies
from dispatcher.store.campaigns import Heading
from dispatcher.store.sqlite import SqliteStore

HTML = """<html><body><p>Dear {{ customer.name }},</p><p>your delivery in {{ segment }} may be late. We are sorry,
and we will write again as soon as we know more. You need not do anything.</p></body></html>"""
TEXT = """Dear {{ customer.name }},

your delivery in {{ segment }} may be late. We are sorry, and we will write again as soon as we know more.
You need not do anything.
"""


@contextlib.contextmanager
def smtp_process(*after):
    """The port of an SMTP server that runs beside; its answers come at once, or after so many milliseconds."""
    with subprocess.Popen([sys.executable, str(Path(__file__).parent / "bench_smtp.py"), *map(str, after)],  # noqa: S603 -- our own script
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


def write_project(folder, port, ramps):
    """A configuration with one sender for each ramp (name -> its keys), and a campaign for each sender."""
    tables = "\n".join(f'[ramps.{name}]\n{keys}\n[senders.{name}]\nfrom = "Acme <{name}@acme.example>"\n'
                       f'server = "smtp://127.0.0.1:{port}"\nramp = "{name}"' for name, keys in ramps.items())
    (folder / "dispatcher.toml").write_text(f'[store]\nurl = "sqlite:///{folder}/store.db"\n{tables}\n')
    for name in ramps:
        place = folder / "campaigns" / name
        place.mkdir(parents=True)
        (place / "email.txt").write_text(TEXT)
        (place / "email.html").write_text(HTML)
        (place / "campaign.toml").write_text(
            f'id = "{name}"\ncategory = "service"\nsenders = ["{name}"]\nsegment_by = "location"\nsegments = ["DE"]\n'
            f'[audience]\nwhere = {{ plan = ["{name}"] }}\n'
            '[email]\nsubject = "News for {{ customer.name }}"\ntext_file = "email.txt"\nhtml_file = "email.html"\n')


async def build(folder, audiences):
    """The engine's works, with so many active customers for each campaign, and each campaign's messages queued."""
    policy, clock = policy_of(load_settings(folder / "dispatcher.toml")), SystemClock()
    database = await SqliteStore.open(new_store(folder / "store.db"), "run")
    works = Works(database, clock, policy, Journal(database, clock))
    for name, count in audiences.items():
        loaded = read_campaign(folder / "campaigns" / name)
        async with database.transaction() as tx:
            await campaigns.apply(tx, Heading(name, "service", "", 0), loaded.content, loaded.digest, clock.now())
        people = [Customer(f"{name}{i}", email=f"{name}{i}@mail.example", name=f"Person {i}", location="DE/Berlin",
                           plan=name, last_product_at=clock.now()) for i in range(count)]
        for start in range(0, count, 500):
            async with database.transaction() as tx:
                await customers.put(tx, people[start:start + 500], clock.now())
    for name in audiences:
        progress = expand.Progress(await expand.begin(works, name), finished=False)
        while not progress.finished:
            progress = await expand.step(works, progress.expansion)
    return works


async def until_sent(works, name, patience=120):
    """Return once a campaign has nothing queued or under way; its counts by state."""
    async with asyncio.timeout(patience):
        while True:
            async with works.database.transaction() as tx:
                counts = {state: number for _, state, _, number in await tallies.totals(tx, name)}
            if not counts.keys() & {"queued", "waiting", "sending"}:
                return counts
            await asyncio.sleep(0.1)


async def end(engine):
    """Drain and close."""
    await engine.drain(5)
    await engine.works.database.close()
    if not engine.failed.done():
        engine.failed.cancel()


__all__ = ["Engine", "build", "end", "smtp_process", "until_sent", "write_project"]
