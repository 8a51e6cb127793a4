"""Reciprocal rank fusion."""

from __future__ import annotations

import pytest

from core.search.fusion import RANK_CONSTANT, fuse


class TestFuse:
    def test_a_key_found_by_two_legs_beats_one_found_first_by_one(self):
        fused = fuse({"words": ["a", "b"], "vectors": ["c", "b"]}, {})

        assert [one.key for one in fused] == ["b", "a", "c"]

    def test_the_score_is_the_weighted_sum_of_reciprocal_ranks(self):
        fused = fuse({"words": ["a"], "vectors": ["x", "a"]}, {"words": 2.0})

        best = fused[0]
        assert best.key == "a"
        assert best.score == pytest.approx(2.0 / (RANK_CONSTANT + 1) + 1.0 / (RANK_CONSTANT + 2))
        assert best.ranks == {"words": 1, "vectors": 2}

    def test_ties_keep_a_stable_order(self):
        assert [one.key for one in fuse({"one": ["a"], "two": ["b"]}, {})] == ["a", "b"]
        assert [one.key for one in fuse({"two": ["b"], "one": ["a"]}, {})] == ["b", "a"]

    def test_no_legs_give_no_keys(self):
        assert fuse({}, {}) == []
