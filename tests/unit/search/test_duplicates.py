"""Which segments say or show the same."""

from __future__ import annotations

import uuid

import pytest

from core.search.duplicates import Fingerprint, first_alike
from core.segments.models import Segment

LONG = (
    "The boiler in hall four was serviced on 12 March 2021 by the workshop of the harbour, which replaced two valves, "
    "cleaned the burner, measured the exhaust and set the pressure back to what the maker of the boiler recommends."
)
DOCUMENT = uuid.uuid4()


def segment(text: str, *, kind: str = "text", document: uuid.UUID | None = None, picture: str = "") -> Fingerprint:
    return Fingerprint(Segment(text=text, kind=kind, document_id=document or uuid.uuid4(), picture_sha256=picture))


class TestRepeats:
    @pytest.mark.parametrize(
        "other", [LONG, LONG.upper(), LONG.replace(" ", "\n"), LONG.replace("which replaced", "that replaced")]
    )
    def test_case_spaces_and_a_word_make_no_other_text(self, other):
        assert segment(LONG).repeats(segment(other))

    @pytest.mark.parametrize("other", [LONG.replace("12 March", "13 March"), LONG + " 40 euros.", LONG[:100], "", "x"])
    def test_another_number_or_another_text_does(self, other):
        assert not segment(LONG).repeats(segment(other))

    def test_short_texts_repeat_only_word_by_word(self):
        assert segment("The siren is tested.").repeats(segment("the siren  is tested."))
        assert not segment("The siren is tested.").repeats(segment("The siren was tested."))

    def test_nothing_repeats_nothing(self):
        assert not segment("").repeats(segment(""))

    def test_a_picture_repeats_the_same_picture_in_any_document(self):
        assert segment("", kind="image", picture="ab").repeats(segment("", kind="frame", picture="ab"))
        assert not segment("", kind="image", picture="ab").repeats(segment("", kind="image", picture="cd"))

    def test_a_picture_is_another_find_than_its_words_in_another_document(self):
        assert not segment(LONG, kind="image").repeats(segment(LONG))
        assert segment(LONG, kind="image", document=DOCUMENT).repeats(segment(LONG, document=DOCUMENT))

    def test_the_first_that_is_alike_counts(self):
        kept = [segment("other"), segment(LONG), segment(LONG)]

        assert first_alike(segment(LONG), kept) == 1
        assert first_alike(segment("new"), kept) is None
