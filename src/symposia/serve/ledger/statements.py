"""What the PostgreSQL ledger asks its database. A lease with `gone` was returned overdue and counts until then."""

from __future__ import annotations

_CREATING = 0x5359_4D50
_NOW = "coalesce(%s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
_TABLES = """
SELECT pg_advisory_xact_lock({lock});
CREATE TABLE IF NOT EXISTS {windows} (
    pool text, field text, gone bigint NOT NULL, state bytea NOT NULL, PRIMARY KEY (pool, field));
CREATE TABLE IF NOT EXISTS {leases} (
    id text PRIMARY KEY, due bigint NOT NULL, lease bytea NOT NULL, gone bigint,
    reported boolean NOT NULL DEFAULT false, settled boolean NOT NULL DEFAULT false);
CREATE INDEX IF NOT EXISTS {leases}_due ON {leases} (due) WHERE gone IS NULL;
CREATE INDEX IF NOT EXISTS {leases}_returned ON {leases} (gone) WHERE gone IS NOT NULL;
"""


class Statements:
    """The statements for tables whose names begin with a namespace."""

    def __init__(self, namespace: str) -> None:
        prefix = f"{namespace}_" if namespace else ""
        names = {"windows": f"{prefix}budget_window", "leases": f"{prefix}budget_lease"}

        def of(text: str) -> str:
            return text.format(**names, now=_NOW, lock=_CREATING)

        self.setup = of(_TABLES)
        self.now = of("SELECT {now}")
        self.lock = of(
            "SELECT w.pool, w.field, w.state FROM {windows} w"
            " WHERE (w.pool, w.field) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
            " ORDER BY w.pool, w.field FOR UPDATE OF w"
        )
        self.lock_pool = of(
            "SELECT pool, field, state FROM {windows} WHERE pool = %s ORDER BY pool, field FOR UPDATE"
        )
        self.overdue = of(
            "SELECT now, EXISTS (SELECT FROM {leases} WHERE gone IS NULL AND due <= now) FROM (SELECT {now} AS now) t"
        )
        self.due = of("SELECT lease FROM {leases} WHERE gone IS NULL AND due <= {now} ORDER BY due")
        self.every = of("SELECT pool, field, state FROM {windows}")
        self.create = of("INSERT INTO {windows} VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING")
        self.save = of("UPDATE {windows} SET gone = %s, state = %s WHERE pool = %s AND field = %s")
        self.keep = of("INSERT INTO {leases} (id, due, lease) VALUES (%s, %s, %s)")
        self.close = of("DELETE FROM {leases} WHERE id = %s AND gone IS NULL RETURNING 1")
        self.close_late = of(
            "UPDATE {leases} SET settled = true WHERE id = %s AND gone IS NOT NULL AND NOT settled RETURNING 1"
        )
        self.give_back = of("UPDATE {leases} SET gone = %s WHERE id = %s AND gone IS NULL RETURNING 1")
        self.report = of(
            "UPDATE {leases} SET reported = true WHERE gone IS NOT NULL AND NOT reported RETURNING lease"
        )
        self.forget_leases = of(
            "DELETE FROM {leases} WHERE gone IS NOT NULL AND reported AND (settled OR gone <= %s)"
        )
        self.forget_windows = of(
            "DELETE FROM {windows} w"
            " USING (SELECT pool, field FROM {windows} WHERE gone <= %s FOR UPDATE SKIP LOCKED) g"
            " WHERE w.pool = g.pool AND w.field = g.field"
        )
