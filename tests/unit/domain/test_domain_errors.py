"""The tree of errors: every class has a code of its own and a sentence."""

from __future__ import annotations

import core.documents.errors
import core.jobs.errors
from core.access.errors import CloisterError, Conflict


def leaves(cls: type[CloisterError]) -> list[type[CloisterError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in leaves(sub))]


class TestErrors:
    def test_have_a_code_of_their_own(self):
        codes = [leaf.code for leaf in leaves(CloisterError)]

        assert len(codes) == len(set(codes))

    def test_say_what_they_mean(self):
        assert all(leaf.__doc__ and leaf.__doc__.strip().endswith(".") for leaf in leaves(CloisterError))

    def test_include_lost_leases_among_conflicts(self):
        assert issubclass(core.jobs.errors.LeaseLost, Conflict)
