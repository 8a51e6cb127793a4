"""Where the database and the broker of this home are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from core.settings.places import socket_directory
from core.settings.secret_files import SecretName, secret

DatabaseRole = Literal["admin", "owner", "app"]

DATABASE_NAME: Final = "cloister"

_SECRETS: Final[dict[DatabaseRole, SecretName]] = {
    "admin": "postgres_admin",
    "owner": "postgres_owner",
    "app": "postgres_app",
}


def postgres_url(home: Path, role: DatabaseRole, database: str = DATABASE_NAME) -> str:
    """Return the address of the embedded PostgreSQL for one role."""
    password = secret(home, _SECRETS[role])
    place = urlencode({"host": str(socket_directory(home))})
    return f"postgresql://cloister_{role}:{quote(password, safe='')}@/{database}?{place}"


def broker_socket(home: Path) -> Path:
    """Return the socket of the embedded broker."""
    return socket_directory(home) / "broker.sock"


def broker_url(home: Path) -> str:
    """Return the address of the embedded broker as redis-py reads it."""
    return f"unix://:{secret(home, 'broker')}@{quote(str(broker_socket(home)))}?db=0"


def celery_url(url: str) -> str:
    """Translate a redis-py address into the form that Celery reads."""
    if not url.startswith("unix://"):
        return url
    rest, _, database = url.removeprefix("unix://").partition("?db=")
    return f"redis+socket://{rest}?virtual_host={database or '0'}"


def django_database(url: str) -> dict[str, Any]:
    """Return one entry of Django's DATABASES for a libpq address."""
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", DATABASE_NAME),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        "OPTIONS": dict(parts),
    }
