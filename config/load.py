"""A file of TOML -> its model, whole, or all of its faults with their lines.

Two kinds of file are read here: dispatcher.toml (find_config, load_settings), and any other that has a model, such as
a campaign (load_table). Nothing is guessed: an unknown key, a wrong type or a value out of range refuses the file.
Rules between the keys of a table are judged once each of its keys is right by itself; those of a ramp for the keys
that are.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from config.faults import ConfigFaults, Fault, Placed, any_of, faults_of, key_text, nearest, place_of
from config.fields import Origin
from config.lines import Key, find_places
from config.model import Settings, Store
from config.ramp_table import faults_between
from config.replies import same_addresses
from config.secrets import exposure
from config.toml import Document, read_toml

VARIABLE: Final = "DISPATCHER_CONFIG"
SYSTEM_PLACE: Final = Path("/etc/dispatcher/dispatcher.toml")
LOCAL_PLACE: Final = Path("dispatcher.toml")
_PREFIX: Final = "DISPATCHER_"

Model = TypeVar("Model", bound=BaseModel)
Rule = Callable[[Mapping[str, Any]], Iterable[Placed]]      # judges the raw values of a whole file, right or wrong


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be used, and what is worth a word about them."""

    settings: Settings
    warnings: tuple[Fault, ...]
    digest: str                 # SHA-256 of the file's text


class _StoreAlone(BaseModel):
    """dispatcher.toml, as far as it is about the store."""

    store: Store = Store()


def find_config(argument: str | None, environ: Mapping[str, str]) -> Path:
    """The configuration file: --config, else $DISPATCHER_CONFIG, else ./dispatcher.toml, else the system's.

    The first two are taken at their word. ConfigFaults names all places where none of them has a file.
    """
    named = argument or environ.get(VARIABLE)
    if named:
        return Path(named)
    for place in (LOCAL_PLACE, SYSTEM_PLACE):
        if place.is_file():
            return place
    problem = (f"there is no configuration file: no --config, no ${VARIABLE}, no {LOCAL_PLACE.absolute()}, "
               f"no {SYSTEM_PLACE}; write one of the files, or name yours")
    raise ConfigFaults([Fault(str(LOCAL_PLACE), 0, "", problem)])


def load_settings(path: Path, environ: Mapping[str, str] | None = None, *, read_secrets: bool = True) -> Settings:
    """The settings in a dispatcher.toml, for whoever has no use for warnings; see load."""
    return load(path, environ, read_secrets=read_secrets).settings


def load(path: Path, environ: Mapping[str, str] | None = None, *, read_secrets: bool = True) -> Loaded:
    """The settings in a dispatcher.toml, or ConfigFaults with everything that is wrong in it.

    The environment is the process's unless given. Without `read_secrets` secrets are checked in form only and left
    empty, and ca_file is not opened: for a client of a running daemon, which may have no right to read them.
    """
    environ = os.environ if environ is None else environ
    document = read_toml(path)
    settings = _judge(document, Settings, Origin(document.folder, environ, read_secrets), across_tables)
    places = find_places(document.text).lines
    warnings = [
        *(Fault(document.file, place_of(key, places), key_text(key), problem) for key, problem in _exposed(document)),
        *(Fault(document.file, place_of(key, places), key_text(key), problem) for key, problem in _nameless(settings)),
        *(Fault(document.file, 0, "", problem) for problem in _unknown_variables(document, environ)),
    ]
    return Loaded(settings, tuple(warnings), document.digest)


def load_store(path: Path, environ: Mapping[str, str] | None = None) -> Store:
    """The [store] of a file without faults, its secret read and none of the others: they may be somebody else's."""
    document = read_toml(path)
    origin = Origin(document.folder, os.environ if environ is None else environ)
    return _judge(document, _StoreAlone, origin, None).store


def load_table(path: Path, model: type[Model], rule: Rule | None = None) -> Model:
    """A file as its model, or ConfigFaults with everything that is wrong in it; `rule` judges what no one table can."""
    document = read_toml(path)
    return _judge(document, model, Origin(document.folder), rule)


def _judge(document: Document, model: type[Model], origin: Origin, rule: Rule | None) -> Model:
    found = list(rule(document.data)) if rule else []
    try:
        whole = model.model_validate(document.data, context=origin)
    except ValidationError as error:
        found += faults_of(error, model)
    else:
        if not found:
            return whole
    lines = find_places(document.text).lines
    raise ConfigFaults(Fault(document.file, place_of(key, lines), key_text(key), problem) for key, problem in found)


def _table(data: object, name: str) -> Mapping[str, Any]:
    """A table of the raw values; empty where there is none."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def across_tables(data: Mapping[str, Any]) -> Iterator[Placed]:
    """What no one table of the settings can judge."""
    senders, ramps = _table(data, "senders"), _table(data, "ramps")
    if not senders and isinstance(data.get("senders", {}), dict):
        yield ("senders",), "has nobody to send as; write at least one [senders.NAME]"
    for name, ramp in ramps.items():
        if isinstance(ramp, dict):
            yield from ((("ramps", name, *key), problem) for key, problem in faults_between(ramp))
    for name, sender in senders.items():
        ramp = sender.get("ramp") if isinstance(sender, dict) else None
        if isinstance(ramp, str) and ramp not in ramps:
            there = f"the ramps are {any_of(ramps)}" if ramps else "there are none"
            yield ("senders", name, "ramp"), f"names no ramp{nearest(ramp, ramps)}; {there}, and [ramps.NAME] makes one"
    yield from same_addresses(_table(data, "replies"))


def passwords(data: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    """Where each secret of a file that has no faults is said to be: (its key, its source)."""
    store = _table(data, "store")
    if "password" in store:
        yield ("store", "password"), store["password"]
    for name, sender in _table(data, "senders").items():
        if "password" in sender:
            yield ("senders", name, "password"), sender["password"]


def _exposed(document: Document) -> Iterator[Placed]:
    for key, source in passwords(document.data):
        problem = exposure(source, document.folder)
        if problem:
            yield key, problem


def _nameless(settings: Settings) -> Iterator[Placed]:
    """Direct senders that greet strangers' servers with an address alone."""
    for name, sender in settings.senders.items():
        if sender.server.direct and sender.helo is None:
            yield ("senders", name, "server"), ("is direct, and many servers refuse who greets them without a name; "
                                                "set helo to this machine's name in the DNS")


def _unknown_variables(document: Document, environ: Mapping[str, str]) -> Iterator[str]:
    """The environment's variables with our prefix that nothing reads: a slip, and a silent one."""
    known = {VARIABLE} | {source.get("env") for _, source in passwords(document.data)}
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in known:
            yield f"the environment has {name}, which means nothing here; the one variable that does is {VARIABLE}"
