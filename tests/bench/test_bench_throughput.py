"""The whole daemon against the bare library, and against what most programs do, in one run on one machine.

Of the bare library's speed 0.7 is what is wanted, and `make long` asks for it with 20,000 messages. How near a machine
comes to that depends on how its loopback, its disk and its second core stand to each other: the same daemon was seen at
0.55, at 0.74 and at 0.95 of it. So `make test` guards, with fewer messages, only against getting much slower.
"""

import asyncio
import gc
import sys
import time
from email.message import EmailMessage

import aiosmtplib
import pytest
from support.engines import Engine, build, end, smtp_process, until_sent, write_project

from dispatcher import collector
from dispatcher.app import SWITCH

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]
CONNECTIONS = 10
ROUNDS = 3
WANTED = 0.7
GUARD = 0.45


def email_message(number):
    message = EmailMessage()
    message["From"], message["To"] = "Acme <wide@acme.example>", f"wide{number}@mail.example"
    message["Subject"] = f"News for Person {number}"
    message.set_content(f"Dear Person {number},\n\nyour delivery in DE may be late. We are sorry, and we will write "
                        "again as soon as we know more.\nYou need not do anything.\n")
    message.add_alternative(f"<html><body><p>Dear Person {number},</p><p>your delivery in DE may be late. We are sorry,"
                            "\nand we will write again as soon as we know more. You need not do anything.</p></body>"
                            "</html>", subtype="html")
    return message


async def pool(port, numbers, body_of):
    """Messages a second of a bare aiosmtplib loop over kept connections."""
    left = iter(numbers)

    async def worker():
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="bench.example", start_tls=False)
        await client.connect()
        for number in left:
            await client.sendmail("wide@acme.example", [f"wide{number}@mail.example"], body_of(number))
        await client.quit()

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return len(numbers) / (time.perf_counter() - began)


async def daemon(folder, port, messages):
    """Messages a second from queue to outcome, ramp wide open, everything durable."""
    write_project(folder, port, {"wide": 'start = 500_000_000\nceiling = 900_000_000\nevery = "100ms"\n'
                                         'hours = "00:00-24:00"\nlargest_batch = 5000\noffset = "0s"'})
    works = await build(folder, {"wide": messages})
    engine = Engine(works)
    collector.spare(collector.DAEMON)   # as the daemon does at its start
    began = time.perf_counter()
    await engine.start()
    counts = await until_sent(works, "wide")
    rate = messages / (time.perf_counter() - began)
    await end(engine)
    assert counts == {"accepted": messages}
    return rate


@pytest.mark.parametrize(("messages", "share"), [
    (8_000, GUARD), pytest.param(20_000, WANTED, marks=pytest.mark.long),
])
def test_the_daemon_keeps_up_with_a_bare_pool_and_leaves_the_usual_loop_behind(tmp_path, messages, share):
    """Of up to three rounds one must hold: the machine's speed drifts while a round is measured part by part."""
    rounds = []
    while not rounds or (not holds(rounds[-1], share) and len(rounds) < ROUNDS):
        rounds.append(one_round(tmp_path / str(len(rounds)), messages))
    print("messages a second:", rounds)
    assert holds(rounds[-1], share), rounds


def holds(figures, share):
    return figures["daemon"] >= max(share * figures["bare"], 3 * figures["usual"])


def one_round(folder, messages):
    folder.mkdir()
    prepared = email_message(1).as_bytes(policy=email_message(1).policy.clone(linesep="\r\n"))
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH)    # as the daemon sets it
    try:
        with smtp_process() as port:
            bare = [asyncio.run(pool(port, range(messages // 4), lambda _: prepared))]
            ours = asyncio.run(daemon(folder, port, messages))
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            bare.append(asyncio.run(pool(port, range(messages // 4), lambda _: prepared)))
            usual = asyncio.run(pool(port, range(messages // 10), lambda number: email_message(number).as_bytes()))
    finally:
        sys.setswitchinterval(before)
    return {"daemon": round(ours), "bare": round(sum(bare) / 2), "usual": round(usual)}
