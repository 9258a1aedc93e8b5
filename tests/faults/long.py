"""The long rounds: every row on every store, printed as the tables of docs/reliability.md. `make faults` runs it.

    python tests/faults/long.py [--messages N] [--breaks N] [--store sqlite|postgresql] [--row WORDS] [--runs N]
        [--seed N]

The exit code is 1 where anything was lost, over, in excess, unequal, unreserved, unknown or untrue, or where a whole
step of an allowance that nothing disturbed was not used to the last message.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.postgresql import trouble
from support.rounds.allowance import COLUMNS as SHARES
from support.rounds.allowance import SHARED, play_shared
from support.rounds.judge import COLUMNS
from support.rounds.play import Size, play
from support.rounds.round import Row
from support.rounds.rows import ROWS

STORES: Final = ("sqlite", "postgresql")


def say(line: str) -> None:
    """A line of the table, at once: the next takes minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def chosen(asked: argparse.Namespace) -> Iterator[tuple[Row, str]]:
    """The rounds to play."""
    for row in ROWS:
        for store in row.stores:
            if asked.store in (None, store) and asked.row in row.name:
                yield row, store


def head(*columns: str) -> None:
    """The first lines of a table."""
    say(f"| {' | '.join(columns)} | seconds |")
    say("| --- " * (len(columns) + 1) + "|")


async def run_rounds(asked: argparse.Namespace) -> int:
    """Play and print what breaks daemons; the exit code."""
    failed, some = 0, list(chosen(asked))
    if some:
        head("fault", "store", *COLUMNS)
    for row, store in some:
        if store == "postgresql" and (why := await asyncio.to_thread(trouble)):
            sys.stderr.write(f"{row.name}: there is no PostgreSQL: {why}\n")
            failed = 1
            continue
        began = time.monotonic()
        size = Size(asked.messages or row.messages, asked.breaks or row.breaks, asked.allowance)
        figures = await play(row, store, size, asked.seed)
        cells = " | ".join(f"{getattr(figures, name):,}" for name in COLUMNS)
        say(f"| {row.name} | {store} | {cells} | {time.monotonic() - began:.0f} |")
        if row.faults(figures):
            failed = 1
            sys.stderr.write(f"{row.name} on {store}, --seed {asked.seed}: {', '.join(row.faults(figures))}\n")
    return failed


async def run_shared(asked: argparse.Namespace) -> int:
    """Play and print what four daemons make of one allowance; the exit code."""
    failed, some = 0, [row for row in SHARED if asked.store != "sqlite" and asked.row in row.name]
    if some and (why := await asyncio.to_thread(trouble)):
        sys.stderr.write(f"shared allowances: there is no PostgreSQL: {why}\n")
        return 1
    if some:
        head("of one allowance", *SHARES)
    for row in some:
        began = time.monotonic()
        figures = await play_shared(row, asked.runs, asked.seed)
        say(f"| {row.name} | {' | '.join(figures.cells)} | {time.monotonic() - began:.0f} |")
        if wrong := row.faults(figures, asked.runs):
            failed = 1
            sys.stderr.write(f"{row.name}, --seed {asked.seed}: {', '.join(wrong)}\n")
    return failed


async def run(asked: argparse.Namespace) -> int:
    """Both tables; the exit code."""
    return max(await run_rounds(asked), await run_shared(asked))


def main() -> int:
    """Read the words, and run."""
    parser = argparse.ArgumentParser(description="Break real daemons, and count what came of it.")
    parser.add_argument("--messages", type=int, help="in each round, instead of what the row has")
    parser.add_argument("--breaks", type=int, help="kills, stops or restarts in each round, likewise")
    parser.add_argument("--allowance", type=int, default=300, help="of each step of 5 seconds of each of the two lanes")
    parser.add_argument("--store", choices=STORES)
    parser.add_argument("--row", default="", help="only rows with these words in their name")
    parser.add_argument("--runs", type=int, default=20, help="of each row of shared allowances")
    parser.add_argument("--seed", type=int, default=1)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
