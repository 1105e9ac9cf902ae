"""Record of events, fingerprint of the study's keys, hashes of image files, and devices of votes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ADDED = {
    "study": (("key_fingerprint", sa.String(64)),),
    "images": (("sha256", sa.String(64)),),
    "votes": (
        ("input", sa.String(8)),
        ("device", sa.String(8)),
        ("window_width", sa.Integer),
        ("window_height", sa.Integer),
    ),
}

_KEEP_EVENTS = {
    "sqlite": tuple(
        f"CREATE TRIGGER events_{operation.lower()} BEFORE {operation} ON events"
        " BEGIN SELECT RAISE(ABORT, 'the record is never changed'); END"
        for operation in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE FUNCTION keep_events() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'the record is never changed'; END $$",
        "CREATE TRIGGER events_kept BEFORE UPDATE OR DELETE ON events"
        " FOR EACH ROW EXECUTE FUNCTION keep_events()",
    ),
}


def upgrade() -> None:
    """Add the columns, empty, as their values are unknown for older rows, and the table of events."""
    for table, columns in _ADDED.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("detail", sa.String, nullable=False),
    )
    for statement in _KEEP_EVENTS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Drop the columns and the table; votes stay."""
    op.drop_table("events")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION keep_events")
    for table, columns in _ADDED.items():
        for name, _ in columns:
            op.drop_column(table, name)
