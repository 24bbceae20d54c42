"""Run the migrations on the connection that the caller hands over."""

from alembic import context

from novadev.state.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
