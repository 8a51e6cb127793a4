"""Fixtures of every lane: the real PostgreSQL and broker in a temporary CLOISTER_HOME."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql
from pytest_django import DjangoDbBlocker

from core.host.broker import EmbeddedBroker
from core.host.paths import socket_directory
from core.host.postgres import EmbeddedPostgres
from core.settings.env import env
from core.settings.test import TEST_HOME_PREFIX

pytest_plugins = ("tests.running_stack",)


@dataclass(frozen=True)
class Services:
    """The running services of a test session."""

    home: Path
    postgres: EmbeddedPostgres
    broker: EmbeddedBroker


@pytest.fixture(scope="session")
def services(django_db_blocker: DjangoDbBlocker) -> Iterator[Services]:
    """One PostgreSQL and one broker, migrated as the owner; tests connect as the application role."""
    from django.core.management import call_command
    from django.db import connections

    home = env().home_path
    assert home.name.startswith(TEST_HOME_PREFIX)
    running = Services(home=home, postgres=EmbeddedPostgres(home), broker=EmbeddedBroker(home))
    try:
        running.postgres.start()
        running.broker.start()
        with django_db_blocker.unblock():
            call_command("migrate", database="owner", verbosity=0, interactive=False)
            yield running
            for connection in connections.all(initialized_only=True):
                connection.close()
                connection.close_pool()  # type: ignore[attr-defined]
    finally:
        running.broker.stop()
        running.postgres.stop()


KEPT_TABLES = ("django_migrations", "django_content_type", "auth_permission")


@pytest.fixture
def clean_database(services: Services) -> Services:
    """Empty every table and drop the partitions of the vectors, as the owner; empty the broker."""
    with psycopg.connect(services.postgres.url("owner"), autocommit=True) as owner:
        _partitions_drop(owner)
        _tables_empty(owner)
    with redis.Redis.from_url(services.broker.url()) as client:
        client.flushall()
    return services


def _partitions_drop(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid "
        "join pg_class p on p.oid = i.inhparent where p.relname = 'segments_embedding' and c.relkind = 'r'"
    )
    for (name,) in rows.fetchall():
        owner.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))


def _tables_empty(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        "select tablename from pg_tables where schemaname = 'public' and tablename <> all(%s)", [list(KEPT_TABLES)]
    )
    names = [sql.Identifier(name) for (name,) in rows.fetchall()]
    owner.execute(sql.SQL("truncate {} cascade").format(sql.SQL(", ").join(names)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """--write-readme: write the table of formats into the README from what the test found."""
    parser.addoption("--write-readme", action="store_true", help="write the README's table of formats anew")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the temporary home that core.settings.test made for this process, and its sockets."""
    home = env().home_path
    if home.name.startswith(TEST_HOME_PREFIX) and not hasattr(session.config, "workerinput"):
        shutil.rmtree(socket_directory(home))
        shutil.rmtree(home)
