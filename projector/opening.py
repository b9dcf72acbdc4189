"""What commands do before anything else: read the settings, open the stores, check that a start is safe.

Modules are imported inside the functions, so that `--help` is quick.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from projector.config import Config
    from projector.log import Log


def config_now() -> "Config":
    """The settings of this environment."""
    from projector.config import read_config

    return read_config()


def tend_parent() -> None:
    """End with the command that started this one, if one did."""
    if os.environ.get("PROJECTOR_PARENT"):
        from projector.processes import end_with_parent

        end_with_parent()


@contextmanager
def stores() -> "Iterator[tuple[Log, Engine]]":
    """The log and the tables, which are this release's."""
    from projector.log import open_log
    from projector.revision import opened

    url = config_now().database_url
    with opened(url) as engine, closing(open_log(url)) as log:
        yield log, engine


def check_migrated(config: "Config") -> None:
    """Refuse tables of another release."""
    from projector import revision

    revision.check_migrated(config.database_url)


def check_start(config: "Config", *, web: bool) -> None:
    """Everything that must hold before a long-running command starts. A database that is away is waited for, not refused."""
    from projector.errors import StoreUnavailable
    from projector.log import open_log
    from projector.safety import check_store, check_web

    if web:
        check_web(config)
    log = open_log(config.database_url)
    try:
        check_store(config, log)
        check_migrated(config)
    except StoreUnavailable as error:
        click.echo(f"projector: {error} Starting all the same; it is asked again at every use.", err=True)
    finally:
        log.close()
