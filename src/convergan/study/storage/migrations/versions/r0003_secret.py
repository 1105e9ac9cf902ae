"""Secret in the order of trials, number of sign-outs, and number of replaced timed images."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SET_SECRET = "UPDATE study SET order_secret = :secret"
_COUNT_REPLACED = """
    UPDATE participants SET replaced_images = (
        SELECT count(*) FROM seen_images JOIN images ON images.id = seen_images.image_id
        WHERE seen_images.participant_id = participants.id AND NOT images.practice
    )
"""


def upgrade() -> None:
    """Add the columns. Participants who have started keep their trials; the secret is for new ones."""
    op.add_column("study", sa.Column("order_secret", sa.String))
    op.execute(sa.text(_SET_SECRET).bindparams(secret=secrets.token_urlsafe(32)))
    # SQLite can forbid NULL afterwards only by making the table again.
    with op.batch_alter_table("study") as study:
        study.alter_column("order_secret", existing_type=sa.String, nullable=False)
    for table, name in (("study", "sign_outs"), ("participants", "replaced_images")):
        op.add_column(table, sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.execute(_COUNT_REPLACED)


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("participants", "replaced_images")
    for name in ("sign_outs", "order_secret"):
        op.drop_column("study", name)
