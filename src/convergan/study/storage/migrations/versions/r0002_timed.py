"""Timed exposure: the attempt that an image was shown to, and its planned and measured exposure."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ADDED = {
    "trials": (("exposure_ms", sa.Integer), ("shown_key", sa.String(64))),
    "votes": (("shown_ms", sa.Double), ("frames", sa.Integer), ("frame_ms", sa.Double)),
}


def upgrade() -> None:
    """Add the columns, empty, and the table of images that were seen but not answered."""
    for table, columns in _ADDED.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    participant = sa.ForeignKey("participants.id", ondelete="CASCADE")
    op.create_table(
        "seen_images",
        sa.Column("participant_id", sa.Integer, participant, primary_key=True),
        sa.Column("image_id", sa.Integer, sa.ForeignKey("images.id"), primary_key=True),
    )


def downgrade() -> None:
    """Drop the columns and the table; votes and trials stay."""
    op.drop_table("seen_images")
    for table, columns in _ADDED.items():
        for name, _ in columns:
            op.drop_column(table, name)
