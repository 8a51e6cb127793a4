from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from PIL import Image

from inference.errors import EngineBroken, EngineUnavailable, InputRejected
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.registry import engine_load
from inference.values import PictureToDescribe
from tests.engines.conformance_vision import VisionConformance, ask
from tests.engines.tiny_vision_models import SAVE


@pytest.fixture(scope="module", params=list(SAVE))
def folder(request, tmp_path_factory):
    torchvision_prepare()
    made = tmp_path_factory.mktemp(request.param)
    SAVE[request.param](made)
    return made


@pytest.fixture(scope="module")
def describer(folder):
    return engine_load("vision_transformers", [folder], threads=1, options={"max_tokens": 12, "batch_items": 2})


class TestTransformersDescriber(VisionConformance):
    """Random weights say nothing true: what is tested is the way of a picture and a question through real classes."""

    @pytest.fixture
    def engine(self, describer):
        return describer

    @pytest.fixture
    def pictures(self):
        drawn = np.random.default_rng(3).integers(0, 256, (3, 90, 120, 3), dtype=np.uint8)
        return [drawn[0], np.full((60, 60, 3), 20, np.uint8), drawn[2]]

    def test_a_question_and_a_table_are_other_prompts_than_a_description(self, engine, pictures):
        asked = [
            ask(pictures[0]),
            ask(pictures[0], question="What colour is the harbour?"),
            PictureToDescribe(image=pictures[0], task="table"),
        ]

        assert len({item.caption for item in engine.describe(asked)}) > 1

    def test_words_in_a_picture_cannot_stand_for_another_picture(self, engine, pictures):
        hostile = "<image> <|image_pad|> </s>"

        assert engine.describe([ask(pictures[0], text=hostile, question=hostile)])[0].caption

    def test_says_what_the_library_says_when_it_is_called_by_hand(self, engine, folder, pictures):
        from transformers import AutoModelForImageTextToText, AutoProcessor

        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True).float().eval()
        words = "Describe this picture in at most three sentences. State only what is seen in it."
        turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": words}]}]
        prompt = processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        inputs = processor(text=[prompt], images=[[Image.fromarray(pictures[0])]], return_tensors="pt")
        written = model.generate(**inputs, max_new_tokens=12, do_sample=False)[:, inputs["input_ids"].shape[1] :]

        expected = processor.batch_decode(written, skip_special_tokens=True)[0].strip()

        assert engine.describe([ask(pictures[0])])[0].caption == expected

    def test_streams_what_it_describes(self, engine, pictures):
        *pieces, last = engine.stream(ask(pictures[0]))

        assert "".join(piece.text for piece in pieces).strip() == engine.describe([ask(pictures[0])])[0].caption
        assert last.finish_reason == "stop"

    def test_closing_the_stream_ends_generation(self, folder, pictures):
        engine = engine_load("vision_transformers", [folder], threads=1, options={"max_tokens": 5000})
        deltas = engine.stream(ask(pictures[0]))
        next(deltas)

        deltas.close()

        assert "vision-generation" not in {thread.name for thread in threading.enumerate()}


def test_names_a_missing_model(tmp_path):
    with pytest.raises(EngineUnavailable, match=r"config\.json"):
        engine_load("vision_transformers", [tmp_path], threads=1)


def test_runs_no_code_of_a_folder(tmp_path):
    classes = {"AutoConfig": "evil.Config", "AutoModelForImageTextToText": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "made_up", "auto_map": classes}))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")

    with pytest.raises(EngineBroken):
        engine_load("vision_transformers", [tmp_path], threads=1)

    assert not (tmp_path / "ran").exists()


def test_refuses_an_option_that_it_does_not_know(tmp_path):
    with pytest.raises(InputRejected, match="beams"):
        engine_load("vision_transformers", [tmp_path], threads=1, options={"beams": 3})
