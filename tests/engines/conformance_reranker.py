"""What every reranker promises."""

from __future__ import annotations

import math

import pytest

from inference.errors import EmptyInput
from inference.protocols import Reranker

PAIRS = [
    ("When is the invoice due?", "The invoice is due on the third of May."),
    ("When is the invoice due?", "The lighthouse was painted in 1931."),
    ("roof", "a long passage about the harbour and the ships that wait there for the tide. " * 60),
]


class RerankerConformance:
    """A subclass has a fixture ``engine``."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, Reranker)
        assert engine.recipe_version

    def test_gives_one_finite_score_per_pair_in_input_order(self, engine):
        forward, backward = engine.score(PAIRS), engine.score(PAIRS[::-1])

        assert len(forward) == 3
        assert all(isinstance(score, float) and math.isfinite(score) for score in forward)
        assert list(forward) == pytest.approx(list(backward)[::-1], abs=1e-5)

    def test_scores_a_pair_the_same_alone_as_inside_a_batch(self, engine):
        assert [engine.score([pair])[0] for pair in PAIRS] == pytest.approx(list(engine.score(PAIRS)), abs=1e-5)

    @pytest.mark.parametrize("pair", [("", "a passage"), ("a query", "  ")])
    def test_refuses_an_empty_side(self, engine, pair):
        with pytest.raises(EmptyInput):
            engine.score([PAIRS[0], pair])
