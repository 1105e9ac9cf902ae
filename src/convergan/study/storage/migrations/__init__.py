"""Migration of the tables of a database, with their content, to another revision."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Upgrade the tables to `revision`, in the connection's transaction; their content stays."""
    _change(command.upgrade, connection, revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Downgrade the tables to an older `revision`; data that it has no place for are lost."""
    _change(command.downgrade, connection, revision)


def revision_of(connection: Connection) -> str | None:
    """Read the revision of a database's tables; None without tables."""
    return MigrationContext.configure(connection).get_current_revision()


def known_revisions() -> list[str]:
    """List the revisions that this package knows, the newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _change(step: Callable[[Config, str], None], connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    step(config, revision)
