"""The store that a configuration means, opened: the only place that knows which kinds there are."""

from config.model import Store
from dispatcher.store.database import Database
from dispatcher.store.sqlite import SqliteStore
from dispatcher.store.unfinished import Admit, refuse_unfinished


async def open_database(store: Store, role: str, *, admit: Admit = refuse_unfinished) -> Database:
    """Lock, open and, where needed, make or migrate the store, for a role ("run", or the name of a command).

    `admit` looks at it before anything in it is changed.

    Raises StoreLockedError where another process has it, StoreUnreachableError where its server does not answer, and
    StoreError where it cannot be used.
    """
    postgresql = store.postgresql
    if postgresql is not None:
        from dispatcher.store.postgresql import Address, PostgresqlStore  # noqa: PLC0415 -- a driver that most have no use for

        password = store.password.get_secret_value() if store.password is not None else ""
        return await PostgresqlStore.open(Address(postgresql, password, store.ca_file), role, admit=admit)
    if store.path is None:
        raise ValueError(store.url)
    return await SqliteStore.open(store.path, role, admit=admit)
