"""SQL that is made of a statement once for all databases of a process.

SQLAlchemy keeps it for each engine. A command opens a new engine for each database, and in a test
would spend a quarter of its time on compiling what the command before it has compiled.
"""

from typing import Any

import sqlalchemy as sa


def keep_compiled_statements() -> None:
    """Let the engines of this process share what they compile, as far as they speak the same SQL.

    See "compiled_cache" in :meth:`sqlalchemy.engine.Connection.execution_options`.
    """
    shared = _Compiled()

    def share(connection: sa.Connection) -> None:
        connection.execution_options(compiled_cache=shared)

    sa.event.listen(sa.Engine, "engine_connect", share)


class _Compiled(dict[Any, Any]):
    """Compiled statements, by what SQLAlchemy looks them up with: the dialect, and the rest."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_the_kind(*key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_of_the_kind(*key), compiled)


def _of_the_kind(dialect: Any, *rest: Any) -> Any:
    """The key with what tells one dialect from another in place of the engine's own."""
    mode = getattr(dialect, "_sql_mode", None)
    return type(dialect), dialect.server_version_info, mode, *rest
