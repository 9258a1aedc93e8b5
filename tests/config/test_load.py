import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field
from support.config_files import LEAST, faults, loaded, only_fault
from support.needs import need_root

from config.faults import ConfigFaults, Fault
from config.fields import Count, Duration, Table
from config.load import find_config, load, load_settings, load_table
from config.toml import LARGEST


@pytest.mark.parametrize(("content", "fault"), [
    (b"", ": is empty; was it written to the end?"),
    (b" \n\n", ": is empty; was it written to the end?"),
    (b"a = 1\nb = \xff\n", ":2: is not UTF-8 here; save the file as UTF-8"),
    ("a = 1".encode("utf-16"), ":1: is not UTF-8 here; save the file as UTF-8"),
    (b"[ramps.careful]\nstart = \n", ":2: is no TOML: invalid value"),
    (b"[ramps.careful\n", ":1: is no TOML: expected ']' at the end of a table declaration"),
    (b"[ramps.careful]\nstart 5\n", ":2: is no TOML: expected '=' after a key in a key/value pair"),
    (b'a = 1\n\nb = "half', ":3: is no TOML: unterminated string at the end of the file; was it written to the end?"),
    (b"a = 1\nb = [1,\n\n", ":2: is no TOML: "),
    (b'a = 1\nb = """x\ny\n', ":3: is no TOML: "),
    (b"a = 1\n\0\0\0\0\0\0", ":2: is no TOML: invalid statement"),
    (b"a = 1\nb = 2\na = 3\n", ":3: a: is written a second time; the first is on line 1"),
    (b"[a]\nx = 1\n[b]\n[a]\n", ":4: a: is written a second time; the first is on line 1"),
    (b'[a]\nx = """\n"""\nx = """\n"""\n', ":4: a.x: is written a second time; the first is on line 2"),
    (b"a = {b = 1, b = 2}\n", ":1: a.b: is written a second time; the first is on line 1"),
    (b"a = 1\na.b = 2\n", ":2: is no TOML: cannot overwrite a value"),
    (b"a = " + b"9" * 5000, ": holds a number that is too long"),
    (b"a = " + b"[" * 100_000, ": is nested too deeply"),
    (b"#" * (LARGEST + 1), ": is too large: a file has at most 1024 KiB"),
])
def test_a_file_that_cannot_be_read_has_one_clear_fault(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "dispatcher.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigFaults) as refused:
        load_settings(file, {})
    assert len(refused.value.faults) == 1
    assert str(refused.value).startswith(f"{file}{fault}")


def test_a_file_that_is_not_there_has_one_clear_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults, match=r"missing\.toml: there is no such file$"):
        load_settings(tmp_path / "missing.toml", {})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFaults, match="is no file; name the TOML file itself"):
        load_settings(tmp_path, {})


def test_what_could_block_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dispatcher.toml")
    with pytest.raises(ConfigFaults, match="is no file; name the TOML file itself"):
        load_settings(tmp_path / "dispatcher.toml", {})


def test_a_path_that_no_system_knows_is_refused() -> None:
    with pytest.raises(ConfigFaults, match="is no path"):
        load_settings(Path("a\0b"), {})


def test_a_file_that_may_not_be_read_has_one_clear_fault(tmp_path: Path) -> None:
    need_root()
    file = tmp_path / "dispatcher.toml"
    file.write_text(LEAST)
    file.chmod(0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigFaults, match="cannot be read: Permission denied"):
            load_settings(file, {})
    finally:
        os.seteuid(0)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "dispatcher.toml"
    file.write_bytes(b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode())
    assert list(load_settings(file, {}).senders) == ["support"]
    file.write_bytes(b"\xef\xbb\xbf" + (LEAST + "groth = 1\n").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigFaults, match=r"dispatcher\.toml:5: senders\.support\.groth: is no key here"):
        load_settings(file, {})


FULL = (Path(__file__).parents[2] / "deploy" / "dispatcher.toml").read_text(encoding="utf-8")


@given(st.integers(0, len(FULL)))
def test_a_half_written_file_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    loads_or_is_refused(tmp_path_factory, FULL[:end])


def test_a_file_cut_before_its_senders_is_refused(tmp_path: Path) -> None:
    assert "senders: has nobody to send as" in "".join(faults(tmp_path, FULL[:FULL.index("[senders")]))


def loads_or_is_refused(folders: pytest.TempPathFactory, text: str) -> None:
    file = folders.getbasetemp() / "fuzzed.toml"
    file.write_text(text, encoding="utf-8")
    told: tuple[Fault, ...] = ()
    try:
        found = load(file, {})
    except ConfigFaults as refused:
        told = refused.faults
    else:
        assert found.settings.senders
        return
    assert told
    assert all(0 <= fault.line <= text.count("\n") + 1 and "\n" not in str(fault) for fault in told)


NAMES = st.sampled_from([
    "store", "url", "audience", "activity", "ramps", "careful", "providers", "gmail", "start", "growth", "steps",
    "step", "every", "hours", "senders", "support", "from", "ramp", "server", "password", "username",
    "credential", "frequency",
    "service", "most", "within", "quiet", "retry", "delays", "http", "admin", "campaigns", "directory", "x", '"a b"',
    "ca_file", "timezone", "offset", "preset", "reply_to",
])
VALUES = st.recursive(
    st.sampled_from(["1", "0", "-1", "1.5", "nan", "inf", "true", "2026-01-01", "07:32:00", '""', '"1d"', '"5m"',
                     '"08:00-20:00"', '"careful"', '"sqlite:///x.db"', '"unix:x"', '"a@b.example"', '"smtp://x"',
                     '"UTC"', '"\\u0000"', "1e999", "0xffffffffffffffffffffffff", '"' + "x" * 300 + '"',
                     '"é\\U0001F600"']),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
    | st.dictionaries(NAMES, inner, max_size=3).map(
        lambda items: "{ " + ", ".join(f"{key} = {value}" for key, value in items.items()) + " }"),
    max_leaves=6,
)
DOTTED = st.lists(NAMES, min_size=1, max_size=4).map(".".join)
LINES = st.tuples(DOTTED, VALUES).map(" = ".join) | DOTTED.map("[{}]".format) | DOTTED.map("[[{}]]".format)


@given(st.lists(LINES, max_size=12).map("\n".join))
@example("ramps = 1\nsenders = []")
@example("senders.support = 5")
@example("[ramps]\ncareful = []")
def test_any_toml_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    loads_or_is_refused(tmp_path_factory, text)


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_any_text_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    loads_or_is_refused(tmp_path_factory, text)


@pytest.mark.parametrize(("url", "path"), [
    ("sqlite:///store.db", "{}/store.db"), ("sqlite:///./store.db", "{}/store.db"),
    ("sqlite:///./data/store.db", "{}/data/store.db"),
    ("sqlite:///../store.db", "{}/../store.db"), ("sqlite:////var/lib/store.db", "/var/lib/store.db"),
    ("sqlite:///var/lib/store.db", "/var/lib/store.db"),
])
def test_the_stores_path_is_relative_to_the_file_where_it_is_relative(tmp_path: Path, url: str, path: str) -> None:
    store = loaded(tmp_path, f"[store]\nurl = '{url}'\n{LEAST}").settings.store
    assert store.path == Path(os.path.normpath(path.format(tmp_path)))
    assert store.path.is_absolute()
    assert store.url == f"sqlite:///{store.path}"


def test_relative_paths_are_relative_to_the_file_and_not_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (folder / "dispatcher.toml").write_text(
        f"[http]\nadmin = 'unix:run/admin.sock'\n[campaigns]\ndirectory = '../campaigns'\n{LEAST}ca_file = 'ca.pem'\n")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("etc/dispatcher.toml"), {})
    assert settings.http.socket == folder / "run/admin.sock"
    assert settings.http.admin == f"unix:{folder}/run/admin.sock"
    assert settings.campaigns.directory == tmp_path / "campaigns"
    assert settings.senders["support"].ca_file == folder / "ca.pem"


def test_the_digest_is_of_the_files_text(tmp_path: Path) -> None:
    assert loaded(tmp_path, LEAST).digest == hashlib.sha256(LEAST.encode()).hexdigest()


def test_a_variable_with_our_prefix_that_nothing_reads_is_warned_of(tmp_path: Path) -> None:
    text = LEAST + "username = 'acme'\npassword = { env = 'DISPATCHER_PASSWORD' }\n"
    environ = {"DISPATCHER_CONFIG": "x", "DISPATCHER_PASSWORD": "hunter2", "DISPATCHER_CONFG": "x", "PATH": "/bin"}
    found = loaded(tmp_path, text, environ).warnings
    assert [(warning.line, warning.problem.partition(",")[0]) for warning in found] == [
        (0, "the environment has DISPATCHER_CONFG")]


class TestFindingTheFile:
    def test_the_option_comes_first(self) -> None:
        assert find_config("a.toml", {"DISPATCHER_CONFIG": "b.toml"}) == Path("a.toml")

    def test_then_the_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "dispatcher.toml").write_text(LEAST)
        monkeypatch.chdir(tmp_path)
        assert find_config(None, {"DISPATCHER_CONFIG": "b.toml"}) == Path("b.toml")

    def test_then_the_folder_where_one_stands(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "dispatcher.toml").write_text(LEAST)
        monkeypatch.chdir(tmp_path)
        assert find_config(None, {"DISPATCHER_CONFIG": ""}) == Path("dispatcher.toml")

    def test_then_the_systems_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "system.toml").write_text(LEAST)
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        monkeypatch.setattr("config.load.SYSTEM_PLACE", tmp_path / "system.toml")
        assert find_config(None, {}) == tmp_path / "system.toml"

    def test_where_there_is_none_all_places_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("config.load.SYSTEM_PLACE", tmp_path / "system.toml")
        with pytest.raises(ConfigFaults) as refused:
            find_config(None, {})
        for place in ("--config", "$DISPATCHER_CONFIG", f"{tmp_path}/dispatcher.toml", f"{tmp_path}/system.toml"):
            assert place in str(refused.value)


class Step(Table):
    name: str
    wait: Duration = 5_000


class Recipe(Table):
    title: str
    steps: list[Step]
    sizes: dict[str, Count] = Field(default_factory=dict)


def test_any_other_file_is_read_with_the_same_care(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('title = "Soup"\n[[steps]]\nname = "cut"\n[[steps]]\nname = "cook"\nwait = "1h"\n')
    recipe = load_table(file, Recipe)
    assert [(step.name, step.wait) for step in recipe.steps] == [("cut", 5_000), ("cook", 3_600_000)]


def test_any_other_files_faults_are_told_with_the_same_care(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('[[steps]]\nname = "cut"\n[[steps]]\nnmae = "cook"\nwait = 5\n[sizes]\n"big one" = 0\n')
    with pytest.raises(ConfigFaults) as refused:
        load_table(file, Recipe, lambda data: [(("sizes",), f"has {len(data['sizes'])} entry")])
    assert [str(fault).removeprefix(f"{tmp_path}/") for fault in refused.value.faults] == [
        "recipe.toml:1: title: is required and missing",
        "recipe.toml:3: steps[1].name: is required and missing",
        'recipe.toml:4: steps[1].nmae: is no key here (did you mean "name"?); the keys here are name, wait',
        'recipe.toml:5: steps[1].wait: must be a text such as "5m", not a whole number',
        "recipe.toml:6: sizes: has 1 entry",
        'recipe.toml:7: sizes."big one": must be from 1 to 1000000000, not 0',
    ]


def test_a_rules_fault_alone_refuses_the_file(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('title = "Soup"\nsteps = []\n')
    with pytest.raises(ConfigFaults, match=r"recipe\.toml:1: title: is no title"):
        load_table(file, Recipe, lambda _: [(("title",), "is no title")])


def test_one_fault_is_one_line(tmp_path: Path) -> None:
    found = only_fault(tmp_path, LEAST + '"two\\nlines" = 1\n')
    assert found.startswith('dispatcher.toml:5: senders.support."two\\nlines": is no key here')
