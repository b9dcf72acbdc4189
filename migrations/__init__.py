"""Alembic's scripts: numbered, for both databases, never edited once released."""
