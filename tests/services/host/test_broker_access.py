from __future__ import annotations

import stat
from typing import Any

import pytest
import redis

from core.settings.addresses import broker_socket, celery_url

pytestmark = pytest.mark.services


class TestBroker:
    def test_refuses_commands_without_the_password(self, services: Any) -> None:
        with (
            redis.Redis(unix_socket_path=str(broker_socket(services.home))) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()

    def test_refuses_a_wrong_password(self, services: Any) -> None:
        with (
            redis.Redis(unix_socket_path=str(broker_socket(services.home)), password="wrong") as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()

    def test_listens_on_a_socket_of_this_account_alone(self, services: Any) -> None:
        with redis.Redis.from_url(services.broker.url()) as client:
            assert client.config_get("port") == {"port": "0"}

        assert stat.S_IMODE(broker_socket(services.home).stat().st_mode) == 0o700

    def test_writes_nothing_to_disk(self, services: Any) -> None:
        with redis.Redis.from_url(services.broker.url()) as client:
            client.set("question", "secret")

            assert client.config_get("save") == {"save": ""}
            assert client.config_get("appendonly") == {"appendonly": "no"}

        assert list((services.home / "broker").iterdir()) == []

    def test_is_reached_by_celery(self, services: Any) -> None:
        from core.celery_app import app

        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1)

            assert connection.connected


class TestCeleryUrl:
    def test_translates_a_socket_and_leaves_the_rest(self) -> None:
        assert celery_url("unix://:pw@/run/broker.sock?db=0") == "redis+socket://:pw@/run/broker.sock?virtual_host=0"
        assert celery_url("rediss://:pw@broker.example.org:6380/0") == "rediss://:pw@broker.example.org:6380/0"
