"""Schema `reporting`: whoever reads sees the workspaces granted to them, and people only where the grant says so. On real PostgreSQL."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL

from projector import readers
from projector.access import reading, writing
from projector.cli import commands
from projector.database import disposing, open_engine
from projector.errors import NotMigrated, NotRebuilt
from projector.migrate import _views_apart, migrate, migration_engine
from projector.readers import READER, make_reader, nobody_reads
from projector.rebuild import rebuild
from projector.revision import REVISION
from projector.tables.columns import is_personal
from projector.tables.reporting import reporting, workspace_grant
from tests.databases import Databases
from tests.given import text_url
from tests.readers import CANARY, MINE, OTHERS, Reader, a_reader, two_workspaces

VIEWS = tuple(reporting())
PERSONAL = {(view.name, column.name) for view in reporting().values() for column in view.c if is_personal(column)}


@pytest.fixture(scope="module")
def floor(databases: Databases) -> URL:
    """Two workspaces in one database, what people are called and wrote planted with canaries."""
    url = databases.new("postgresql")
    two_workspaces(url)
    return url


@pytest.fixture
def reader(floor: URL) -> Iterator[Reader]:
    with a_reader(floor) as reader:
        yield reader


@pytest.fixture
def fresh(databases: Databases) -> URL:
    """A database of a test's own, with a few rows of both workspaces."""
    url = databases.new("postgresql")
    two_workspaces(url, callbacks=150, rate=20)
    return url


def owner(url: URL) -> psycopg.Connection:
    return psycopg.connect(text_url(url), autocommit=True)


def workspaces(rows: dict[str, list[dict[str, object]]]) -> set[object]:
    return {row["workspace_sid"] for name in rows for row in rows[name] if name != "projection"}


# What is seen


def test_without_a_grant_nothing_is_seen(reader: Reader) -> None:
    """Not a row of any view, the projection's included."""
    assert reader.rows(VIEWS) == {key: [] for key in VIEWS}


def test_a_grant_shows_that_workspace_whole_and_no_other(reader: Reader, floor: URL) -> None:
    """In every view just the rows the owner sees of it, in the home schema."""
    seen = reader.grant(MINE).rows(VIEWS)
    assert workspaces(seen) == {MINE}
    with owner(floor) as connection:
        for name in set(VIEWS) - {"projection"}:
            count = SQL("SELECT count(*) FROM {} WHERE workspace_sid = {}").format(Identifier(name), Literal(MINE))
            row = connection.execute(count).fetchone()
            assert row is not None
            assert (name, len(seen[name])) == (name, row[0])
    assert {name for name in VIEWS if not seen[name]} <= {"gap"}
    assert [row.keys() for row in seen["projection"]] == [{"event_at", "fold_version"}]


def test_a_grant_of_every_workspace_shows_all(reader: Reader) -> None:
    """A star; a row is seen once, whatever else is granted too."""
    seen = reader.grant("*").grant(MINE).rows(VIEWS)
    assert workspaces(seen) == {MINE, OTHERS}
    keys = [(row["workspace_sid"], row["worker_sid"]) for row in seen["worker"]]
    assert len(keys) == len(set(keys))


def test_people_are_seen_by_a_grant_of_their_own(reader: Reader) -> None:
    """Without it no view holds a personal value of any row; with it every column that is marked shows some."""
    hidden = reader.grant(MINE).rows(VIEWS)
    assert CANARY not in repr(hidden)
    for name, column in PERSONAL:
        assert {row[column] for row in hidden[name]} <= {None}
    with a_reader(reader._url) as manager:
        shown = manager.grant(MINE, sees_people=True).rows(VIEWS)
    told = {(name, column) for name, column in PERSONAL if any(CANARY in str(row[column]) for row in shown[name])}
    assert told == PERSONAL
    plain = {(name, column) for name, rows in shown.items() for row in rows for column in row if CANARY in str(row[column])}
    assert plain == PERSONAL


def test_people_of_one_workspace_are_not_those_of_another(reader: Reader) -> None:
    """By workspace: in one they are seen, in the other the same column is NULL."""
    seen = reader.grant("*").grant(MINE, sees_people=True).rows(["worker", "task"])
    for rows in seen.values():
        told = {row["workspace_sid"] for row in rows if CANARY in repr(row)}
        assert told == {MINE}
        assert {row["workspace_sid"] for row in rows} == {MINE, OTHERS}


# What cannot be got at


def test_a_function_of_the_reader_s_never_sees_what_is_not_granted(reader: Reader) -> None:
    """As cheap as can be, so that the planner would run it first: it is handed rows of the granted workspace alone."""
    heard: list[str] = []
    leak = """
    CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
    $$ BEGIN RAISE NOTICE 'heard %', $1; RETURN true; END $$
    """
    with reader.grant(MINE).connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute(leak)
        for view in reporting().values():
            of = Identifier("reporting", view.name)
            for column in view.c:
                asked = "SELECT count(*) FROM {} WHERE pg_temp.leak({}::text)"
                connection.execute(SQL(asked).format(of, Identifier(column.name)))
            if "workspace_sid" in view.c:
                connection.execute(
                    SQL("SELECT count(*) FROM {} WHERE pg_temp.leak(workspace_sid) AND workspace_sid <> ''").format(of)
                )
    assert f"heard {MINE}" in heard
    assert not [message for message in heard if OTHERS in message or CANARY in message]


def test_errors_and_statistics_tell_nothing_of_what_is_not_granted(reader: Reader) -> None:
    """A cast that fails quotes a row of one's own; the planner's statistics of the tables are not the reader's to see."""
    with reader.grant(MINE).connect() as connection:
        with pytest.raises(psycopg.errors.InvalidTextRepresentation) as told:
            connection.execute("SELECT count(*) FROM reporting.worker WHERE workspace_sid::integer = 1")
        assert MINE in str(told.value)
        hidden = connection.execute("SELECT count(friendly_name::integer) FROM reporting.worker").fetchall()
        assert hidden == [{"count": 0}]
        for catalog in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
            asked = SQL("SELECT * FROM {} WHERE schemaname IN ('public', 'reporting', 'log')").format(Identifier(catalog))
            assert connection.execute(asked).fetchall() == []


def test_no_setting_of_the_session_shows_more(reader: Reader) -> None:
    """Every setting a reader may change, set to everything it can be or to a role that sees all: the same workspace is seen."""
    tried = 0
    with a_reader(reader._url) as manager, reader.grant(MINE).connect() as connection:
        manager.grant("*", sees_people=True)
        settings = connection.execute(
            "SELECT name, vartype, enumvals, min_val, max_val FROM pg_settings WHERE context = 'user' AND name !~ 'timeout|readonly'"
        ).fetchall()
        for setting in settings:
            values = setting["enumvals"] or {"bool": ["on", "off"], "string": [OTHERS, "*", manager.name]}.get(
                setting["vartype"], [setting["min_val"], setting["max_val"]]
            )
            for value in values:
                tried += _sees_mine_alone(connection, SQL("SET {} = {}").format(Identifier(setting["name"]), Literal(value)))
        for name in ("projector.workspaces", "app.workspaces", "projector.sees_people", "reporting.role_name"):
            for value in ("*", manager.name):
                tried += _sees_mine_alone(connection, SQL("SET {} = {}").format(SQL(name), Literal(value)))
    assert tried > 150


def _sees_mine_alone(connection: psycopg.Connection[dict[str, object]], setting: SQL | psycopg.sql.Composed) -> bool:
    """Whether the setting could be made; if so nothing more is seen by it."""
    try:
        connection.execute(setting)
    except psycopg.Error:
        return False
    try:
        rows = connection.execute("SELECT workspace_sid, friendly_name FROM reporting.worker").fetchall()
    except psycopg.Error:
        rows = []  # it broke the session, not the barrier
    assert {row["workspace_sid"] for row in rows} <= {MINE}
    assert {row["friendly_name"] for row in rows} <= {None}
    connection.execute("RESET ALL")
    return True


def test_tables_of_one_s_own_take_nobody_s_place(reader: Reader) -> None:
    """A grant table in the session's temporary schema is not the one that is asked; nor is another role one is a member of."""
    with reader.grant(MINE).connect() as connection:
        connection.execute(
            "CREATE TEMP TABLE workspace_grant AS SELECT %s AS role_name, '*' AS workspace_sid, true AS sees_people",
            (reader.name,),
        )
        connection.execute("SET search_path = pg_temp, reporting")
        assert connection.execute("SELECT DISTINCT workspace_sid FROM reporting.worker").fetchall() == [{"workspace_sid": MINE}]
        connection.execute(SQL("SET ROLE {}").format(Identifier(READER)))
        assert connection.execute("SELECT * FROM reporting.worker").fetchall() == []


FORBIDDEN = (
    "INSERT INTO reporting.workspace_grant VALUES (current_user, '*', true)", "UPDATE reporting.workspace_grant SET workspace_sid = '*'",
    "SELECT * FROM reporting.workspace_grant", "DELETE FROM reporting.worker", "UPDATE reporting.task SET status = 'pending'",
    "INSERT INTO reporting.workspace (workspace_sid) VALUES ('WS')", "SELECT * FROM worker", "SELECT * FROM worker_activity_span",
    "SELECT * FROM task_queue_span_past", "SELECT * FROM worker_now", "SELECT * FROM projection", "SELECT * FROM log.stored_events",
    "CREATE TABLE reporting.mine ()", "CREATE VIEW reporting.mine AS SELECT 1", "ALTER VIEW reporting.worker RESET (security_barrier)",
    "DROP VIEW reporting.worker", "COPY worker TO STDOUT",
)  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_reader_reads_the_views_and_nothing_else(reader: Reader, statement: str) -> None:
    """Neither writing, nor the grants, nor what lies below the views, nor the log."""
    with reader.grant(MINE).connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


# What is said


def test_every_view_and_column_says_what_it_is(floor: URL) -> None:
    """The comments of the schema are the metadata's, every one of them, and no relation is there that the metadata does not know."""
    asked = """
    SELECT c.relname, a.attname, obj_description(c.oid, 'pg_class'), col_description(c.oid, a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'reporting'::regnamespace AND c.relkind IN ('v', 'r', 'm')
    """
    with owner(floor) as connection:
        found = connection.execute(asked).fetchall()
    known = (*reporting().values(), workspace_grant)
    assert sorted(found) == sorted((of.name, column.name, of.comment, column.comment) for of in known for column in of.c)
    assert all(comment for row in found for comment in row)


def test_every_view_is_a_barrier_of_the_type_it_shows(floor: URL) -> None:
    """`security_barrier` on each; and every column has the type that the metadata and the page of the data model say."""
    with owner(floor) as connection:
        options = connection.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'reporting'::regnamespace AND relkind = 'v'"
        )
        assert dict(options.fetchall()) == {key: ["security_barrier=true"] for key in VIEWS}
        types = "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = ANY(%s::regclass[])"
        rows = connection.execute(types, ([f"reporting.{name}" for name in VIEWS],)).fetchall()
    assert sorted(rows) == sorted(
        (f"reporting.{view.name}", column.name, column.type.compile(postgresql.dialect()).partition(" COLLATE")[0].lower())
        for view in reporting().values()
        for column in view.c
    )


# What stays


def test_grants_stay_when_tables_are_rebuilt(fresh: URL) -> None:
    """The same rows seen before and after, by the same role; the views are bound to the new tables."""
    with a_reader(fresh) as reader:
        before = reader.grant(MINE).rows(VIEWS)
        rebuild(fresh, 2)
        assert _in_any_order(reader.rows(VIEWS)) == _in_any_order(before)
        assert workspaces(before) == {MINE}
    test_every_view_and_column_says_what_it_is(fresh)
    test_every_view_is_a_barrier_of_the_type_it_shows(fresh)


def test_a_rebuild_beside_readers(fresh: URL, caplog: pytest.LogCaptureFixture) -> None:
    """Who reads meanwhile sees the same rows all the time, without an error; and they hardly keep the swap from happening."""
    caplog.set_level("INFO", "projector.rebuild")
    stop, looks, wrong = threading.Event(), [], []
    with a_reader(fresh) as reader:
        names = ("worker", "worker_activity_span", "queue_interval_15m", "worker_now")
        before = _in_any_order(reader.grant(MINE).rows(names))

        def look() -> None:
            while not stop.is_set():
                try:
                    looks.append(seen := _in_any_order(reader.rows(names)))
                    wrong.extend([] if seen == before else [seen])
                except psycopg.Error as error:
                    wrong.append(error)

        with ThreadPoolExecutor(2) as pool:
            looking = [pool.submit(look) for _ in range(2)]
            try:
                for _ in range(3):
                    rebuild(fresh)
            finally:
                stop.set()
            for each in looking:
                each.result()
    assert wrong == []
    assert len(looks) > 10
    assert caplog.messages.count("swap_refused") <= 3  # dozens, when each waits for what the other has


def test_grants_stay_when_views_are_made_anew(fresh: URL) -> None:
    """By a migration there and back, to before the schema was: the same rows are seen, and what was taken from the role stays taken."""
    with a_reader(fresh) as reader:
        before = reader.grant(MINE).rows(VIEWS)
        with owner(fresh) as connection:
            connection.execute(SQL("REVOKE SELECT ON reporting.task_queue FROM {}").format(Identifier(READER)))
            connection.execute(SQL("GRANT SELECT ON reporting.task_queue TO {}").format(Identifier(reader.name)))
        with disposing(migration_engine(fresh)) as engine, writing(engine) as making, _views_apart(making, REVISION):
            pass  # as a release does that changes tables
        with owner(fresh) as connection:
            asked = "SELECT has_table_privilege(%s, 'reporting.task_queue', 'SELECT'), has_table_privilege(%s, 'reporting.task', 'SELECT')"
            assert connection.execute(asked, (READER, READER)).fetchone() == (False, True)
        assert _in_any_order(reader.rows(VIEWS)) == _in_any_order(before)
        migrate(fresh, "0005")
        with reader.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM reporting.worker")
        migrate(fresh)
        rebuild(fresh)  # what a migration adds to a row, the log tells
        assert _in_any_order(reader.rows(VIEWS)) == _in_any_order(before)
        with owner(fresh) as connection:
            connection.execute(SQL("REVOKE SELECT ON reporting.task FROM {}").format(Identifier(READER)))
        migrate(fresh)
        rebuild(fresh)
        with reader.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM reporting.task")


def _in_any_order(rows: dict[str, list[dict[str, object]]]) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows[name])) for name in rows}


def test_somebody_s_view_upon_ours_is_named(fresh: URL) -> None:
    """A rebuild replaces what our views are made of and leaves a view upon them alone; a migration that drops them says what is in the way."""
    with owner(fresh) as connection:
        connection.execute("CREATE VIEW mine AS SELECT * FROM reporting.worker")
        rebuild(fresh)
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)
        with pytest.raises(NotMigrated, match="view mine"):
            migrate(fresh, "0005")
        connection.execute("DROP VIEW mine")
        connection.execute("CREATE VIEW reporting.mine AS SELECT * FROM public.worker")
        with pytest.raises(NotRebuilt, match="view mine"):
            rebuild(fresh)


def test_what_stands_in_the_schema_s_place_is_named(databases: Databases) -> None:
    """A schema of that name with a `worker` in it is somebody's: nothing is dropped, the migration says what to do."""
    url = databases.new("postgresql", migrated=False)
    migrate(url, "0005")
    with owner(url) as connection:
        connection.execute("CREATE SCHEMA reporting CREATE VIEW worker AS SELECT 1 AS one CREATE TABLE theirs ()")
        with pytest.raises(NotMigrated, match="named worker"):
            migrate(url)
        connection.execute("ALTER VIEW reporting.worker RENAME TO worker_of_theirs")
        migrate(url)
        migrate(url, "0005")
        found = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'reporting'::regnamespace").fetchall()
    assert sorted(found) == [("theirs",), ("worker_of_theirs",)]


# The role


def test_databases_of_one_server_make_the_role_at_once(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role is the server's: of eight that find it missing one makes it, and none fails."""
    monkeypatch.setattr(readers, "READER", "reader_made_by_eight")
    urls = [databases.new("postgresql") for _ in range(4)]

    def make(url: URL) -> None:
        with disposing(open_engine(url)) as engine:
            make_reader(engine)

    with owner(urls[0]) as connection:
        for _ in range(5):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(make, urls * 2))
            connection.execute("DROP ROLE reader_made_by_eight")


def test_who_may_make_no_role_is_told_what_to_run(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration does not fail; once an administrator made the role, the next `projector migrate` lets it read."""
    monkeypatch.setattr(readers, "READER", "reader_made_by_hand")
    url = databases.new("postgresql", migrated=False)
    with closing(owner(url)) as connection:
        connection.execute("CREATE ROLE plain_owner LOGIN PASSWORD 'secret'")
        connection.execute(SQL("ALTER DATABASE {} OWNER TO plain_owner").format(Identifier(str(url.database))))
        theirs = url.set(username="plain_owner", password="secret")
        said = CliRunner().invoke(commands, ["migrate"], env={"PROJECTOR_DATABASE_URL": text_url(theirs)})
        assert (said.exit_code, json.loads(said.stdout)["revision"]) == (0, REVISION)
        assert "CREATE ROLE reader_made_by_hand NOLOGIN" in json.loads(said.stdout)["reporting"]
        connection.execute("CREATE ROLE reader_made_by_hand NOLOGIN")
        migrate(theirs)
        assert nobody_reads(theirs) is None
        with owner(url) as looking:
            may = "SELECT has_table_privilege('reader_made_by_hand', 'reporting.worker', 'SELECT')"
            assert looking.execute(may).fetchone() == (True,)
        connection.execute("DROP OWNED BY reader_made_by_hand")
        connection.execute("DROP ROLE reader_made_by_hand")
        connection.execute("DROP OWNED BY plain_owner CASCADE")
        connection.execute(SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(Identifier(str(url.database))))
        connection.execute("DROP ROLE plain_owner")


def test_on_sqlite_there_is_no_such_schema_and_the_views_are_the_same(databases: Databases) -> None:
    """The names of the schema's views are those of SQLite's tables and views."""
    url = databases.new("sqlite")
    assert nobody_reads(url) is None
    with disposing(open_engine(url)) as engine, reading(engine) as connection:
        inspector = sa.inspect(connection)
        assert set(VIEWS) <= {*inspector.get_table_names(), *inspector.get_view_names()}
