"""The official Python client with its default settings against the local server.

Run by it/python_client.rs, which passes the host and the port.
"""

import datetime
import sys
import time

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError

HOST, PORT = sys.argv[1], int(sys.argv[2])
MILLION = 1_000_000


def client(**options):
    return clickhouse_connect.get_client(host=HOST, port=PORT, **options)


def queries_take_parameters(db):
    result = db.query(
        "SELECT {text:String}, {number:UInt64} + 1, {list:Array(String)}, {day:Date}",
        parameters={"text": "it's\n\ttab", "number": 2**40, "list": ["a'", "b"], "day": datetime.date(2026, 2, 28)},
    )
    assert result.result_rows == [("it's\n\ttab", 2**40 + 1, ["a'", "b"], datetime.date(2026, 2, 28))], result.result_rows
    assert db.query("SELECT %s AS x", parameters=("plain",)).first_item == {"x": "plain"}


def a_million_rows_go_in_and_come_back(db):
    db.command("CREATE TABLE rows (id UInt32, name String, value Float64, day Nullable(Date)) ENGINE = MergeTree ORDER BY id")
    day = datetime.date(2026, 1, 1)
    columns = [
        list(range(MILLION)),
        [f"name\n{number % 1000}" for number in range(MILLION)],
        [number / 8 for number in range(MILLION)],
        [day if number % 2 else None for number in range(MILLION)],
    ]
    begun = time.monotonic()
    summary = db.insert("rows", columns, column_names=["id", "name", "value", "day"], column_oriented=True)
    inserted = time.monotonic() - begun
    assert summary.written_rows == MILLION, summary.summary
    begun = time.monotonic()
    back = db.query("SELECT id, name, value, day FROM rows ORDER BY id")
    read = time.monotonic() - begun
    assert back.row_count == MILLION
    ids, names, values, days = back.result_columns
    assert sum(ids) == sum(columns[0]) and sum(values) == sum(columns[2])
    assert list(names) == columns[1] and list(days) == columns[3]
    with db.query_row_block_stream("SELECT id FROM rows") as blocks:
        assert sum(row[0] for block in blocks for row in block) == sum(columns[0])
    print(f"a million rows: in {inserted:.2f} s, back {read:.2f} s")


def errors_have_the_servers_code(db):
    for query, code in [("SELECT * FROM nowhere", 60), ("SELEC 1", 62), ("SELECT nothing", 47)]:
        try:
            db.query(query)
        except DatabaseError as error:
            assert f"{code}" in str(error) and "OUTFILE" not in str(error), error
        else:
            raise AssertionError(f"{query} did not fail")
    try:
        client(username="nobody", password="wrong")
    except DatabaseError as error:
        assert "516" in str(error), error
    else:
        raise AssertionError("a wrong password was accepted")


def settings_and_commands_work(db):
    assert db.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).first_row == (1,)
    assert db.query("SELECT getSetting('max_threads')").first_row != (77,)
    assert db.command("SELECT count() FROM rows") == MILLION
    assert db.command("EXISTS TABLE rows") == 1
    assert db.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    db.raw_insert("rows", ["id", "name"], b"7000000,raw\n", fmt="CSV")
    assert db.query("SELECT name FROM rows WHERE id = 7000000").first_row == ("raw",)
    db.command("CREATE TEMPORARY TABLE mine (n Int8)")
    db.insert("mine", [[5]])
    assert db.command("SELECT n FROM mine") == 5
    assert db.ping()


def other_compressions_work():
    for compress in [False, "gzip", "zstd", "lz4"]:
        db = client(compress=compress)
        name = f"packed_{str(compress).lower()}"
        db.command(f"CREATE TABLE {name} (id UInt32, name String) ENGINE = Memory")
        db.insert(name, [[number, "x" * 50] for number in range(20_000)])
        rows = db.query(f"SELECT * FROM {name} ORDER BY id").result_rows
        assert len(rows) == 20_000 and rows[19_999] == (19_999, "x" * 50), compress


db = client()
queries_take_parameters(db)
a_million_rows_go_in_and_come_back(db)
errors_have_the_servers_code(db)
settings_and_commands_work(db)
other_compressions_work()
