"""Script that Alembic runs for every upgrade and downgrade, inside the caller's transaction."""

from alembic import context

from convergan.study.storage.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
