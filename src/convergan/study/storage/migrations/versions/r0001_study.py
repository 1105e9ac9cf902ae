"""A study with its images, participants and votes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEEP_VOTES = {
    "sqlite": (
        "CREATE TRIGGER votes_unchanged BEFORE UPDATE ON votes"
        " BEGIN SELECT RAISE(ABORT, 'votes are never changed'); END",
        "CREATE TRIGGER votes_kept BEFORE DELETE ON votes"
        " WHEN EXISTS (SELECT 1 FROM participants WHERE id = OLD.participant_id)"
        " BEGIN SELECT RAISE(ABORT, 'votes go only with their participant'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION keep_votes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF TG_OP = 'UPDATE' THEN RAISE EXCEPTION 'votes are never changed'; END IF;"
        " IF EXISTS (SELECT 1 FROM participants WHERE id = OLD.participant_id)"
        " THEN RAISE EXCEPTION 'votes go only with their participant'; END IF;"
        " RETURN OLD; END $$",
        "CREATE TRIGGER votes_kept BEFORE UPDATE OR DELETE ON votes"
        " FOR EACH ROW EXECUTE FUNCTION keep_votes()",
        # Compressed, images of one length would take more or less time to read.
        "ALTER TABLE images ALTER COLUMN content SET STORAGE EXTERNAL",
    ),
}


def upgrade() -> None:
    """Create the tables."""
    _make_images()
    _make_participants()
    _make_votes()
    for statement in _KEEP_VOTES[op.get_bind().dialect.name]:
        op.execute(statement)


def _make_images() -> None:
    """Create the tables of the study, its arms and its images."""
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("codes", sa.JSON, nullable=False),
        sa.Column("size_px", sa.Integer, nullable=False),
        sa.Column("content_length", sa.Integer, nullable=False),
        sa.Column("quota", sa.Integer, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "arms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("images", sa.String, nullable=False),
        sa.Column("feedback", sa.Boolean, nullable=False),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("images", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("generated", sa.Boolean, nullable=False),
        sa.Column("practice", sa.Boolean, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("images", "name"),
    )


def _make_participants() -> None:
    """Create the tables of participants, and of the identities by which they are recognized."""
    op.create_table(
        "participants",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("code", sa.String, nullable=False, unique=True),
        sa.Column("arm_id", sa.Integer, sa.ForeignKey("arms.id"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("way", sa.String, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("outcome", sa.String),
        sa.UniqueConstraint("arm_id", "simulated", "place"),
    )
    op.create_table(
        "tokens",
        sa.Column("digest", sa.String(64), primary_key=True),
        _participant(index=True),
    )
    op.create_table(
        "identities",
        sa.Column("person", sa.String(64), primary_key=True),
        sa.Column("submission", sa.String(64), unique=True),
        sa.Column("platform_study", sa.String(64)),
        _participant(unique=True),
    )


def _make_votes() -> None:
    """Create the tables of trials, and of the votes on them."""
    op.create_table(
        "trials",
        _participant(primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("generated", sa.Boolean, nullable=False),
        sa.Column("image_id", sa.Integer, sa.ForeignKey("images.id"), index=True),
        sa.Column("address", sa.String(32), nullable=False, unique=True),
    )
    op.create_table(
        "votes",
        sa.Column("participant_id", sa.Integer, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("answered_generated", sa.Boolean, nullable=False),
        sa.Column("response_ms", sa.Double),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(
            ["participant_id", "position"],
            ["trials.participant_id", "trials.position"],
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    for table in (
        "votes",
        "trials",
        "identities",
        "tokens",
        "participants",
        "images",
        "arms",
        "study",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION keep_votes")


def _participant(**options: Any) -> sa.Column[int]:
    participant = sa.ForeignKey("participants.id", ondelete="CASCADE")
    return sa.Column("participant_id", sa.Integer, participant, nullable=False, **options)
