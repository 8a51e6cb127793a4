from __future__ import annotations

from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.services

GUARDED = (
    "access_collection",
    "documents_document",
    "documents_part",
    "jobs_job",
    "jobs_step",
    "jobs_artefact",
    "segments_segment",
    "segments_embedding",
    "answers_answer",
)


@pytest.fixture
def app(services: Any) -> Any:
    with psycopg.connect(services.postgres.url("app"), autocommit=True) as connection:
        yield connection


class TestApplicationRole:
    def test_is_the_one_that_django_uses(self, services: Any) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("select current_user, session_user")
            assert cursor.fetchone() == ("cloister_app", "cloister_app")

    def test_has_no_power(self, app: psycopg.Connection) -> None:
        powers = app.execute(
            "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles "
            "where rolname = current_user"
        ).fetchone()
        memberships = app.execute(
            "select count(*) from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname = current_user"
        ).fetchone()

        assert powers == (False, False, False, False, False)
        assert memberships == (0,)

    def test_owns_nothing(self, app: psycopg.Connection) -> None:
        owned = app.execute(
            "select relname from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = current_user"
        ).fetchall()

        assert owned == []

    @pytest.mark.parametrize(
        "statement",
        [
            "create table mine (id int)",
            "create extension file_fdw",
            "alter table documents_document disable row level security",
            "drop table documents_document",
            "create index mine on documents_document (title)",
            "truncate documents_document",
            "set role cloister_owner",
            "copy (select 1) to program 'true'",
            "select pg_read_file('/etc/passwd')",
        ],
    )
    def test_may_not(self, app: psycopg.Connection, statement: str) -> None:
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
            app.execute(statement)

    @pytest.mark.parametrize("table", GUARDED)
    def test_is_bound_by_row_security_that_binds_the_owner_too(self, app: psycopg.Connection, table: str) -> None:
        row = app.execute(
            "select relrowsecurity, relforcerowsecurity, "
            "(select count(*) from pg_policies where tablename = relname) > 0, row_security_active(oid) "
            "from pg_class where relname = %s",
            [table],
        ).fetchone()

        assert row == (True, True, True, True)


class TestCluster:
    def test_checks_its_pages_and_listens_on_a_socket_alone(self, app: psycopg.Connection) -> None:
        names = ("data_checksums", "listen_addresses", "password_encryption", "unix_socket_permissions")
        shown = [app.execute(f"show {name}").fetchone() for name in names]

        assert shown == [("on",), ("",), ("scram-sha-256",), ("0700",)]

    def test_knows_letters_beyond_ascii(self, app: psycopg.Connection) -> None:
        assert app.execute("select lower('ÄÉŁ'), to_tsvector('simple', '„Öl“')::text").fetchone() == ("äéł", "'öl':1")

    def test_lets_full_text_use_its_index_under_row_security(self, app: psycopg.Connection) -> None:
        query = "select proleakproof from pg_proc where oid = 'ts_match_vq(tsvector,tsquery)'::regprocedure"

        assert app.execute(query).fetchone() == (True,)

    def test_has_the_vector_extension(self, app: psycopg.Connection) -> None:
        version = app.execute("select extversion from pg_extension where extname = 'vector'").fetchone()

        assert version is not None
        assert tuple(map(int, version[0].split("."))) >= (0, 8, 5)

    @pytest.mark.parametrize("role", ["admin", "owner", "app"])
    def test_refuses_a_wrong_or_missing_password(self, services: Any, role: Any) -> None:
        url = services.postgres.url(role)
        start, _, place = url.rpartition("@")

        for refused in (f"{start.rpartition(':')[0]}:wrong@{place}", f"{start.rpartition(':')[0]}@{place}"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(refused)

    def test_stores_no_password_in_clear(self, services: Any) -> None:
        with psycopg.connect(services.postgres.url("admin")) as admin:
            stored = admin.execute("select rolpassword from pg_authid where rolname like 'cloister_%'").fetchall()

        assert len(stored) == 3
        assert all(password.startswith("SCRAM-SHA-256$") for (password,) in stored)
