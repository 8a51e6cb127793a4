"""Snippets."""

from __future__ import annotations

from core.search.snippets import snippet

LONG = (
    "The first part speaks of gardens. " * 20
    + "The boiler in hall four was serviced in March. "
    + "Then came rain. " * 30
)


class TestSnippet:
    def test_a_short_text_is_shown_whole(self):
        assert snippet("A short text.", ["text"]) == "A short text."

    def test_the_window_holds_the_wanted_words(self):
        shown = snippet(LONG, ["boiler", "servic"])

        assert "boiler in hall four was serviced" in shown
        assert len(shown) <= 290
        assert shown.startswith("… ")
        assert shown.endswith(" …")

    def test_without_a_wanted_word_the_beginning_is_shown(self):
        assert snippet(LONG, ["zebra"]).startswith("The first part")

    def test_words_are_not_cut(self):
        shown = snippet(LONG, ["boiler"]).strip("… ")

        assert all(word in LONG.split() for word in shown.split())
