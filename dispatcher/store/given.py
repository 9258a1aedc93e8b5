"""Rows that a statement is given, as a table that it can read: thousands of them are one parameter, or one a column.

PostgreSQL has arrays, SQLite JSON; a statement is written once, for either. Each row has its place, from 0, as `n`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, String, Subquery, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

_ARRAYS = {"text": "text[]", "bigint": "bigint[]"}
_TYPES: Mapping[str, type[TypeEngine[Any]]] = {"text": String, "bigint": BigInteger}


@dataclass(frozen=True, slots=True)
class Given:
    """A table of rows that come with the statement: its name, and the kind (text, bigint) of each column."""

    name: str
    columns: tuple[tuple[str, str], ...]

    def table(self, dialect: str) -> Subquery:
        """What to select from; its column `n` is the row's place."""
        types = {name: _TYPES[kind]() for name, kind in self.columns}
        asked = text(self._json() if dialect == "sqlite" else self._arrays())
        if dialect != "sqlite":
            asked = asked.bindparams(*(bindparam(self._parameter(name), type_=ARRAY(_TYPES[kind]()))
                                       for name, kind in self.columns))
        return asked.columns(n=Integer(), **types).subquery(self.name)

    def parameters(self, dialect: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """These rows as the statement's parameters; each has its values in the order of the columns."""
        if dialect == "sqlite":
            some: Sequence[Any] = rows if len(self.columns) > 1 else [one for one, in rows]
            return {self.name: json.dumps(some, ensure_ascii=False, separators=(",", ":"))}
        values = zip(*rows, strict=True) if rows else [()] * len(self.columns)
        return {self._parameter(name): list(some) for (name, _), some in zip(self.columns, values, strict=True)}

    def _parameter(self, column: str) -> str:
        return f"{self.name}_{column}"

    def _json(self) -> str:
        names = [name for name, _ in self.columns]
        values = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
        if len(names) == 1:
            values = f"value AS {names[0]}"
        return f"SELECT key AS n, {values} FROM json_each(:{self.name})"  # noqa: S608 -- names of our own

    def _arrays(self) -> str:
        arrays = ", ".join(f"CAST(:{self._parameter(name)} AS {_ARRAYS[kind]})" for name, kind in self.columns)
        names = ", ".join(name for name, _ in self.columns)
        return (f"SELECT n - 1 AS n, {names} "  # noqa: S608 -- names of our own
                f"FROM unnest({arrays}) WITH ORDINALITY AS given ({names}, n)")
