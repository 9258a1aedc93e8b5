"""A whole store copied into another place, of the same kind or the other: one state of it, proven row by row.

The source is only read, in one moment, by whoever has it locked; the target is locked, too, and belongs to nobody
until all is in it. Each chunk is committed together with how far it goes (unfinished.py), so that a copy which was cut
short is gone on with. Before that, what was copied is held against the source, by checksum: where any of it is not the
same any more, all of it is thrown away and the copy begins anew, for two states are never mixed. At the end every table
is read back, and only where all of them are the same is the copy finished.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from sqlalchemy import Connection, Insert, Table, delete, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.store import migrate, unfinished
from dispatcher.store.checksums import OWN, TABLES, Checksum, Rows, key_of, pages, stored
from dispatcher.store.database import Database, StoreError
from dispatcher.store.tables import meta
from dispatcher.store.unfinished import Admit, Mark, Reached

Tell = Callable[[int, int], None]
"""Told how many rows are done, of how many: each is copied, and read back."""
BEGUN: Final = "begun"
RESUMED: Final = "resumed"
ANEW: Final = "begun anew"
"""How a copy starts: with nothing in the target; where the last one ended; or over, as the source has changed since."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A table on both sides."""

    table: str
    source: Checksum
    target: Checksum

    @property
    def same(self) -> bool:
        """Whether both hold the same."""
        return self.source == self.target


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of a copy."""

    start: str
    tables: Sequence[Compared]

    @property
    def whole(self) -> bool:
        """Whether the target holds what the source does."""
        return all(one.same for one in self.tables)


def to_copy_from(connection: Connection) -> None:
    """Admits a store that can be copied as it is: nothing is made and nothing migrated where only reading is meant."""
    unfinished.refuse_unfinished(connection)
    version = migrate.current(connection)
    if version is None:
        raise migrate.SchemaError("there is no store in it yet")
    if version < migrate.NEWEST:
        raise migrate.SchemaError(f"its schema is {version}, older than this program's {migrate.NEWEST}; keep a backup "
                                  "of it, and run `dispatcher db check`, which brings it to that")


def to_copy_to(source: str) -> Admit:
    """Admits what may become, or go on becoming, a copy of this source; anything else is left alone."""

    def admit(connection: Connection) -> None:
        mark = unfinished.read(connection)
        if mark is not None and mark.finished:
            raise migrate.SchemaError(f"it is a finished copy of {mark.source} already; name an empty place")
        if mark is not None and mark.source != source:
            raise migrate.SchemaError(f"it is an unfinished copy of {mark.source}, and not of {source}; name an empty "
                                      "place, or empty this one")
        version = migrate.current(connection)
        if version is not None and version < migrate.NEWEST:
            raise migrate.SchemaError(f"it is a store already, of the schema {version}; name an empty place")
        if version is None or mark is not None:
            return
        for table in TABLES:
            if connection.execute(stored(table).limit(1)).first() is not None:
                raise migrate.SchemaError(f"it is a store already, with {table.name} in it; name an empty place")

    return admit


async def copy(source: Database, target: Database, name: str, tell: Tell) -> Copied:
    """Copy what a store holds, and compare; `name`: the source, as the target's mark says it.

    DBAPIError, StoreError: it was cut short, and the next call goes on.
    """
    async with source.snapshot() as moment:
        progress = _Progress(tell, 2 * await _rows(moment))
        reached, start = await _start(moment, target, name, progress)
        sums = {}
        for table in TABLES:
            try:
                sums[table] = await _copy_table(_Side(moment, target, name), table, reached, progress)
            except DBAPIError as error:
                raise StoreError(f"the copy was cut short in the table {table.name}: {error.orig}; what was copied is "
                                 "kept, and the same command goes on there once that is put right") from error
    await _settle(target)
    async with target.snapshot() as made:
        compared = [Compared(table.name, sums[table], await _sum_of(made, table, progress)) for table in TABLES]
    copied = Copied(start, compared)
    async with target.transaction() as tx:
        # What is not the same is not gone on with: the next copy begins anew.
        await unfinished.write(tx, Mark(name, finished=copied.whole))
    return copied


class _Progress:
    """How far it all is."""

    def __init__(self, tell: Tell, total: int) -> None:
        self._tell = tell
        self._total = total
        self._done = 0

    def more(self, rows: int) -> None:
        """So many rows more."""
        self._done += rows
        self._tell(self._done, self._total)

    def over(self) -> None:
        """Nothing of it counts."""
        self._done = 0


@dataclass(frozen=True, slots=True)
class _Side:
    """From where to where."""

    moment: AsyncConnection
    target: Database
    name: str


async def _rows(moment: AsyncConnection) -> int:
    """How many rows a store has, for a person who waits."""
    return sum([(await moment.execute(select(func.count()).select_from(table))).scalar_one() for table in TABLES])


async def _start(
    moment: AsyncConnection, target: Database, name: str, progress: _Progress
) -> tuple[dict[str, Reached], str]:
    """How far the target is, where all that it has is in the source; else it is emptied."""
    async with target.transaction() as tx:
        mark = await tx.run_sync(unfinished.read)
    if mark is not None and mark.reached and await _holds(moment, mark.reached, progress):
        return dict(mark.reached), RESUMED
    progress.over()
    async with target.transaction() as tx:
        await _empty(tx)
        await unfinished.write(tx, Mark(name))
    return {}, ANEW if mark is not None and mark.reached else BEGUN


async def _holds(moment: AsyncConnection, reached: dict[str, Reached], progress: _Progress) -> bool:
    """Whether the source still holds, in the same order and with nothing in between, all that was copied from it."""
    for table in TABLES:
        was = reached.get(table.name)
        if was is None:
            continue
        found = Checksum()
        async for rows in pages(moment, table, until=was.key):
            found.add(rows)
            progress.more(len(rows))
        if found != Checksum(was.rows, was.checksum):
            return False
    return True


async def _copy_table(
    side: _Side, table: Table, reached: dict[str, Reached], progress: _Progress
) -> Checksum:
    """Copy what the target lacks of a table; the checksum of all of it in the source."""
    was = reached.get(table.name, Reached(0, "", []))
    found = Checksum(was.rows, was.checksum)
    async for rows in pages(side.moment, table, after=was.key):
        found.add(rows)
        reached[table.name] = Reached(found.rows, found.digest, key_of(table, rows[-1]))
        async with side.target.transaction() as tx:
            await _put(tx, table, rows)
            await unfinished.write(tx, Mark(side.name, reached=reached))
        progress.more(len(rows))
    return found


async def _put(tx: AsyncConnection, table: Table, rows: Rows) -> None:
    names = [column.name for column in table.c]
    await tx.execute(_insertion(table), [dict(zip(names, row, strict=True)) for row in rows])


@cache
def _insertion(table: Table) -> Insert:
    return insert(table)


async def _empty(tx: AsyncConnection) -> None:
    """Take everything out of a copy that is thrown away."""
    if tx.dialect.name == "postgresql":     # at once, however much it is
        names = ", ".join(table.name for table in TABLES if table is not meta)
        await tx.execute(text(f"TRUNCATE {names}"))
    else:
        for table in reversed(TABLES):
            if table is not meta:
                await tx.execute(delete(table))
    await tx.execute(delete(meta).where(meta.c.name.not_in(OWN)))


async def _settle(target: Database) -> None:
    """What PostgreSQL must be told besides the rows: where numbers go on, and how tables are filled, for its plans."""
    async with target.transaction() as tx:
        if tx.dialect.name != "postgresql":
            return
        for table in TABLES:
            column = table.autoincrement_column
            if column is not None:
                await tx.execute(text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "  # noqa: S608 -- names of our tables
                    f"coalesce(max({column.name}), 0) + 1, false) FROM {table.name}"
                ))
            await tx.execute(text(f"ANALYZE {table.name}"))


async def _sum_of(made: AsyncConnection, table: Table, progress: _Progress) -> Checksum:
    found = Checksum()
    async for rows in pages(made, table):
        found.add(rows)
        progress.more(len(rows))
    return found
