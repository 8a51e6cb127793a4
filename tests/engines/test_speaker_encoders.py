from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from inference.engines.fakes import FakeSpeakerEncoder, fake_sound
from inference.errors import InputRejected
from inference.registry import engine_load
from inference.values import SAMPLE_RATE_HZ, VoiceRequest, VoiceVectors
from tests.engines.conformance_speaker import SpeakerConformance


def request_of(parts):
    ends_s = np.cumsum([len(part) for part in parts]) / SAMPLE_RATE_HZ
    starts_s = [0.0, *ends_s[:-1]]
    return VoiceRequest(
        waveform=np.concatenate(parts), spans=tuple(zip(map(float, starts_s), map(float, ends_s), strict=True))
    )


class TestFakeSpeakerEncoder(SpeakerConformance):
    @pytest.fixture
    def engine(self):
        return FakeSpeakerEncoder()

    @pytest.fixture
    def conversation(self):
        return request_of(
            [
                fake_sound("good morning", voice=1),
                fake_sound("how are you", voice=5),
                fake_sound("very well", voice=1),
                fake_sound("glad to hear", voice=5),
            ]
        )


@pytest.fixture(scope="module")
def ge2e(model_folder):
    return engine_load("ge2e", [model_folder("ge2e-speaker")], threads=1)


@pytest.mark.weights
class TestGe2eSpeakerEncoder(SpeakerConformance):
    @pytest.fixture
    def engine(self, ge2e):
        return ge2e

    @pytest.fixture
    def conversation(self, recording):
        """Four sentences: a man, a woman, the man, the woman."""
        spans = ((0.0, 4.3), (5.5, 10.3), (11.4, 14.9), (16.1, 20.6))
        return VoiceRequest(waveform=recording("conversation.flac"), spans=spans)

    def test_keeps_the_voice_through_other_words_and_lengths(self, engine, conversation):
        spans = [
            (start_s + shift_s, start_s + shift_s + 1.2) for start_s, _ in conversation.spans for shift_s in (0.3, 1.3)
        ]

        (voices,) = engine.embed_voices([VoiceRequest(waveform=conversation.waveform, spans=tuple(spans))])

        assert tuple(engine.cluster_voices([voices])[0]) == (0, 0, 1, 1, 0, 0, 1, 1)

    def test_tells_a_long_recording_apart_in_little_memory(self, engine, conversation):
        (voices,) = engine.embed_voices([conversation])
        random = np.random.default_rng(0)
        who = random.integers(0, 4, 6000)
        noisy = voices.vectors[who] + random.normal(0, 0.02, (6000, engine.dimensions)).astype(np.float32)
        vectors = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
        spans = VoiceVectors(vectors=vectors, lengths_s=np.full(6000, 2.0, np.float32))

        tracemalloc.start()
        (labels,) = engine.cluster_voices([spans])
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak_bytes < 64 * 2**20
        man = who % 2 == who[0] % 2
        assert (np.array(labels)[man] == 0).all()
        assert (np.array(labels)[~man] == 1).all()

    def test_refuses_an_option_that_it_does_not_know(self, model_folder):
        with pytest.raises(InputRejected, match="speakers"):
            engine_load("ge2e", [model_folder("ge2e-speaker")], threads=1, options={"speakers": 2})
