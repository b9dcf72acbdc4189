"""Appending on PostgreSQL is one call, `log.append_callbacks`; and the log's rows stay whole.

A call instead of a transaction of five statements: each answer that a server process waits for costs it its turn among its own
threads, which at 32 requests at once was most of the time of an append (measured). What the function does in SQL, `log/entry.py`
does in Python for the other logs: the receipt stamp, the event time, the document.

Two of five rows are longer than the 2 kB from which PostgreSQL would compress them at every append, which took a third of it
(measured); uncompressed, the log is a seventh larger. Rows that are there stay as they are.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

APPEND = """
CREATE FUNCTION log.append_callbacks(
    lock bigint, origins text[], topics text[], units text[], stamps bigint[], receipts bigint[], sources text[], parameters bytea[]
) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint;
    newest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(lock);
    now_ms := extract(epoch FROM clock_timestamp()) * 1000;
    SELECT substring(encode(substring(state FOR 40), 'escape') FROM '^.{15}([0-9]+)')::bigint
        INTO newest FROM log.stored_events ORDER BY notification_id DESC LIMIT 1;
    RETURN QUERY
    INSERT INTO log.stored_events AS stored (originator_id, originator_version, topic, state, unit, at_ms)
    SELECT
        origin, 1, topic,
        convert_to(format('{"recorded_at":%s,"source":"%s","parameters":', recorded, source), 'UTF8') || body || '}'::bytea,
        unit, CASE WHEN stamp <= recorded + 300000 THEN stamp ELSE recorded END
    FROM (
        SELECT given.*, greatest(newest, max(coalesce(receipt, now_ms)) OVER (ORDER BY n)) AS recorded
        FROM unnest(origins, topics, units, stamps, receipts, sources, parameters) WITH ORDINALITY
            AS given (origin, topic, unit, stamp, receipt, source, body, n)
    ) AS received
    -- Looked up one by one, by index whatever the planner believes of a young table.
    WHERE (SELECT true FROM log.stored_events AS earlier WHERE earlier.originator_id = origin LIMIT 1) IS NULL
    ORDER BY n
    RETURNING stored.originator_id;
END
$$
"""


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE log.stored_events SET (toast_tuple_target = 8160)")
        op.execute(APPEND)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION log.append_callbacks")
        op.execute("ALTER TABLE log.stored_events RESET (toast_tuple_target)")
