"""What every speaker encoder promises."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import DamagedFile, EmptyInput, InputRejected
from inference.protocols import SpeakerEncoder
from inference.values import SAMPLE_RATE_HZ, VoiceRequest, VoiceVectors


class SpeakerConformance:
    """A subclass has fixtures ``engine`` and ``conversation``: a request whose spans are voices A, B, A, B."""

    def test_satisfies_the_protocol(self, engine):
        assert isinstance(engine, SpeakerEncoder)
        assert engine.recipe_version

    def test_gives_one_unit_vector_per_span(self, engine, conversation):
        (voices,) = engine.embed_voices([conversation])

        assert voices.vectors.shape == (4, engine.dimensions)
        assert voices.vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(voices.vectors, axis=1), 1, atol=1e-5)

    def test_puts_spans_of_one_voice_nearer_than_spans_of_two(self, engine, conversation):
        near = (lambda v: v @ v.T)(engine.embed_voices([conversation])[0].vectors)

        assert min(near[0, 2], near[1, 3]) > max(near[0, 1], near[0, 3], near[1, 2], near[2, 3]) + 0.1

    def test_encodes_the_same_alone_as_inside_a_batch(self, engine, conversation):
        single = VoiceRequest(waveform=conversation.waveform, spans=conversation.spans[1:2])

        together = engine.embed_voices([single, conversation])
        alone = engine.embed_voices([conversation])[0]

        assert np.allclose(together[1].vectors, alone.vectors, atol=1e-4)
        assert np.allclose(together[0].vectors[0], alone.vectors[1], atol=1e-4)

    def test_does_not_depend_on_loudness(self, engine, conversation):
        quiet = VoiceRequest(waveform=conversation.waveform * np.float32(0.1), spans=conversation.spans)

        loud, soft = engine.embed_voices([conversation, quiet])

        assert (loud.vectors * soft.vectors).sum(axis=1).min() > 0.97

    def test_numbers_speakers_by_first_appearance(self, engine, conversation):
        (voices,) = engine.embed_voices([conversation])
        swapped = [1, 0, 3, 2]
        lengths_s = None if voices.lengths_s is None else voices.lengths_s[swapped]
        reversed_voices = VoiceVectors(vectors=voices.vectors[swapped], lengths_s=lengths_s)

        assert [tuple(labels) for labels in engine.cluster_voices([voices, reversed_voices])] == [(0, 1, 0, 1)] * 2

    def test_finds_one_speaker_where_there_is_one(self, engine, conversation):
        (voices,) = engine.embed_voices([conversation])

        (labels,) = engine.cluster_voices([VoiceVectors(vectors=voices.vectors[[0, 2]])])

        assert tuple(labels) == (0, 0)

    @pytest.mark.parametrize(("speakers", "expected"), [(1, (0, 0, 0, 0)), (2, (0, 1, 0, 1)), (9, 4)])
    def test_finds_as_many_speakers_as_it_is_told(self, engine, conversation, speakers, expected):
        (voices,) = engine.embed_voices([conversation])
        told = VoiceVectors(vectors=voices.vectors, lengths_s=voices.lengths_s, speakers=speakers)

        (labels,) = engine.cluster_voices([told])

        if isinstance(expected, tuple):
            assert tuple(labels) == expected
        else:
            assert max(labels) < expected

    def test_lets_a_span_that_is_too_short_join_its_neighbour(self, engine, conversation):
        a, b = conversation.spans[:2]
        spans = (a, b, (b[1] - 0.2, b[1]))

        (voices,) = engine.embed_voices([VoiceRequest(waveform=conversation.waveform, spans=spans)])

        assert not voices.vectors[2].any()
        assert tuple(engine.cluster_voices([voices])[0]) == (0, 1, 1)

    def test_gives_silence_no_voice(self, engine):
        silence = VoiceRequest(waveform=np.zeros(2 * SAMPLE_RATE_HZ, np.float32), spans=((0.0, 2.0), (0.0, 1.0)))

        (voices,) = engine.embed_voices([silence])

        assert not voices.vectors.any()
        assert tuple(engine.cluster_voices([voices])[0]) == (0, 0)

    @pytest.mark.parametrize(
        ("waveform", "spans"),
        [(np.zeros(0, np.float32), ((0.0, 1.0),)), (np.zeros(16_000, np.float32), ())],
    )
    def test_refuses_a_request_without_sound_or_spans(self, engine, waveform, spans):
        with pytest.raises(EmptyInput, match=r"(request|waveform) 0"):
            engine.embed_voices([VoiceRequest(waveform=waveform, spans=spans)])

    @pytest.mark.parametrize("span", [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.0, 3.0)])
    def test_refuses_a_span_outside_the_sound(self, engine, span):
        with pytest.raises(InputRejected):
            engine.embed_voices([VoiceRequest(waveform=np.zeros(16_000, np.float32), spans=(span,))])

    def test_refuses_samples_that_are_not_numbers(self, engine):
        with pytest.raises(DamagedFile):
            engine.embed_voices([VoiceRequest(waveform=np.full(16_000, np.inf, np.float32), spans=((0.0, 1.0),))])
