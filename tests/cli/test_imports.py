"""Files of customers and activity: what is counted, what is named, how it ends. The store is a real one."""

import json

import pytest
from support.command_line import House, Typing

ADA = {"id": "c-1", "email": "ada@mail.example", "name": "Ada", "location": "DE/Berlin"}


def test_an_import_says_what_it_came_to_and_importing_again_updates(home: House, typed: Typing) -> None:
    file = home.people([ADA, {"id": "c-2", "plan": "pro"}])
    assert typed("customers", "import", file).out == "imported 2: 2 new\n"
    home.people([ADA, {"id": "c-2", "plan": "free"}, {"id": "c-3"}])
    ended = typed("customers", "import", file)
    assert (ended.code, ended.out, ended.err) == (0, "imported 3: 1 new, 1 changed, 1 unchanged\n", "")
    assert typed("customers", "show", "c-2", "--json").data["plan"] == "free"


def test_bad_rows_are_named_with_file_and_line_and_the_good_ones_stand(home: House, typed: Typing) -> None:
    home.write("people.csv", 'id,email\nc-1,ada@mail.example\nc-2,not an address\n,x@mail.example\nc-3,"open\n')
    ended = typed("customers", "import", "people.csv")
    assert (ended.code, ended.out) == (1, "imported 1: 1 new; 3 refused\n")
    assert sorted(line.partition(": ")[0] for line in ended.errors) == ["people.csv:3", "people.csv:4", "people.csv:5"]
    assert all(line.partition(": ")[2] for line in ended.errors)


def test_json_is_one_document_with_every_bad_row_and_standard_error_names_a_hundred(home: House, typed: Typing) -> None:
    rows = [f"c-{number},{'' if number % 2 else '@'}" for number in range(240)]
    home.write("people.csv", "\n".join(["id,email", *rows]))
    ended = typed("customers", "import", "people.csv", "--json")
    assert ended.code == 1
    assert (ended.data["new"], ended.data["refused"], len(ended.data["faults"])) == (120, 120, 120)
    assert set(ended.data["faults"][0]) == {"line", "reason"}
    assert len(ended.errors) == 101
    assert ended.errors[-1] == "people.csv: 20 more rows are refused; --json has them all"


def test_a_large_file_goes_in_chunks_and_lines_stay_those_of_the_file(home: House, typed: Typing) -> None:
    file = home.people([{"id": f"c-{number}"} for number in range(1, 1_200)] + [{"id": "x", "email": "@"}])
    ended = typed("customers", "import", file, "--json")
    assert (ended.data["new"], [fault["line"] for fault in ended.data["faults"]]) == (1_199, [1_200])


def test_what_is_worth_a_word_is_a_warning_and_no_failure(home: House, typed: Typing) -> None:
    file = home.people([ADA | {"last_order_at": "2199-01-01"}])
    ended = typed("customers", "import", file)
    assert (ended.code, ended.out) == (0, "imported 1: 1 new\n")
    assert len(ended.errors) == 1
    assert ended.errors[0].startswith(f"{file}:1: warning: last_order_at")


def test_a_minus_reads_standard_input(home: House) -> None:
    ended = home.type("customers", "import", "-", feed="id,email\nc-1,ada@mail.example\nc-2,@\n")
    assert (ended.code, ended.out) == (1, "imported 1: 1 new; 1 refused\n")
    assert ended.errors[0].startswith("stdin:3: email: ")


@pytest.mark.parametrize(("text", "line"), [
    (b"", "people.csv:1: the file is empty; the first line must name the columns"),
    (b"id,email\n", "people.csv: holds no rows; give it at least one"),
    ("id,email\nc-1,\n".encode("utf-16"), "people.csv:1: the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8"),
    (b"id;email\nc-1;\n", ("people.csv:1: the columns are separated by semicolons or tabs; "
                           "save the file with commas")),
])
def test_a_file_without_a_row_that_can_be_read_is_wrong_input(
    text: bytes, line: str, home: House, typed: Typing,
) -> None:
    (home.folder / "people.csv").write_bytes(text)
    ended = typed("customers", "import", "people.csv")
    assert (ended.code, ended.errors) == (2, [line])


def test_a_fault_cannot_write_to_the_terminal_what_it_likes(home: House, typed: Typing) -> None:
    home.write("people.ndjson", json.dumps({"id": "c-1", "\x1b[31mred\u202e": "x"}) + "\n")
    ended = typed("customers", "import", "people.ndjson")
    assert ended.code == 1
    assert not set("\x1b\u202e") & set(ended.err)


def test_activity_of_somebody_unknown_is_a_bad_row(home: House, typed: Typing) -> None:
    typed("customers", "import", home.people([ADA]))
    did = "c-1,order,2026-02-28T18:03:00Z\nc-9,order,2026-02-28\nc-1,visit,2026-02-28\n"
    home.write("did.csv", f"customer,kind,at\n{did}")
    ended = typed("activity", "import", "did.csv")
    assert (ended.code, ended.out) == (1, "imported 1: 1 changed; 2 refused\n")
    assert [line.partition(": ")[0] for line in ended.errors] == ["did.csv:3", "did.csv:4"]
    assert typed("customers", "show", "c-1", "--json").data["last_order_at"] == "2026-02-28T18:03:00Z"


def test_a_customer_is_shown_and_forgotten(home: House, typed: Typing) -> None:
    typed("customers", "import", home.people([ADA | {"seats": "4"}]))
    shown = typed("customers", "show", "c-1")
    assert "email       ada@mail.example\n" in shown.out
    assert "attributes  seats=4\n" in shown.out
    assert typed("customers", "erase", "c-1").out == "c-1 is forgotten\n"
    gone = typed("customers", "show", "c-1")
    assert (gone.code, gone.out, gone.errors) == (1, "", ["no customer is called c-1"])
    assert typed("customers", "erase", "c-1", "--json").code == 1
