"""The table from errors to HTTP status."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import core
from core.access.errors import CloisterError
from core.api.errors import STATUS_BY_ERROR, status_of
from inference.errors import InferenceError


def leaves(cls: type[Exception]) -> list[type[Exception]]:
    below = [leaf for sub in cls.__subclasses__() for leaf in leaves(sub)]
    return below or [cls]


def load_every_errors_module() -> None:
    for module in pkgutil.walk_packages(core.__path__, "core."):
        if module.name.endswith(".errors"):
            importlib.import_module(module.name)


class TestTable:
    @pytest.mark.parametrize("tree", [CloisterError, InferenceError])
    def test_every_leaf_has_a_status(self, tree):
        load_every_errors_module()
        ours = [leaf for leaf in leaves(tree) if leaf.__module__.startswith(("core.", "inference."))]

        assert len(ours) > 5
        assert [leaf.__name__ for leaf in ours if status_of(leaf("x")) is None] == []

    def test_every_status_is_an_http_error(self):
        assert all(400 <= status < 600 for status in STATUS_BY_ERROR.values())

    def test_an_exception_that_is_not_ours_has_no_status(self):
        assert status_of(KeyError("x")) is None
