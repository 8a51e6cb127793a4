from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from core.settings.env import REPOSITORY
from inference.engines.fakes import FakeImageTextEmbedder
from inference.errors import EngineUnavailable, InputRejected
from inference.preprocessing.torch_operators import torchvision_prepare
from inference.registry import engine_load
from tests.engines.conformance_image_text import ImageTextConformance

SAMPLES = REPOSITORY / "configs" / "samples"

TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


class TestFakeImageTextEmbedder(ImageTextConformance):
    @pytest.fixture
    def engine(self):
        return FakeImageTextEmbedder()

    @pytest.fixture
    def pictures(self):
        return [np.full((8, 8, 3), colour, np.uint8) for colour in [(220, 30, 30), (40, 60, 220)]]

    def test_finds_the_picture_of_a_colour(self, engine, pictures):
        red, blue = engine.embed_images(pictures) @ engine.embed_texts(["red"])[0]

        assert red > blue + 0.5


@pytest.fixture(scope="module")
def photographs(picture):
    return {name: picture(f"{name}.jpg") for name in ("cat", "espresso", "rocket")}


@pytest.fixture(scope="module")
def conse(model_folder):
    return engine_load("conse", [model_folder("efficientnet-lite0"), model_folder("all-minilm-l6-v2")], threads=1)


@pytest.mark.weights
class TestConseEmbedder(ImageTextConformance):
    @pytest.fixture
    def engine(self, conse):
        return conse

    @pytest.fixture
    def pictures(self, photographs):
        return list(photographs.values())

    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("cat", "cat"),
            ("a ginger cat looking at the camera", "cat"),
            ("cup of coffee", "espresso"),
            ("a hot drink on a saucer", "espresso"),
            ("rocket launch", "rocket"),
            ("a spacecraft before lift-off", "rocket"),
        ],
    )
    def test_ranks_the_right_photograph_first(self, engine, photographs, query, shown):
        scores = engine.embed_images(list(photographs.values())) @ engine.embed_texts([query])[0]

        assert list(photographs)[int(scores.argmax())] == shown

    def test_finds_a_picture_by_a_cut_out_of_it(self, engine, photographs):
        cat = photographs["cat"]
        height_px, width_px = cat.shape[:2]
        cut = cat[height_px // 10 : -height_px // 10, width_px // 10 : -width_px // 10]

        scores = engine.embed_images(list(photographs.values())) @ engine.embed_images([cut])[0]

        assert list(photographs)[int(scores.argmax())] == "cat"

    def test_a_mirrored_picture_has_the_same_vector(self, engine, photographs):
        cat = photographs["cat"]

        # Equal but for the rounding of the resize.
        assert engine.embed_images([cat])[0] @ engine.embed_images([cat[:, ::-1].copy()])[0] > 0.999

    def test_a_question_about_text_stays_below_every_right_photograph(self, engine, photographs):
        vectors = engine.embed_images(list(photographs.values()))
        questions = ["When is the invoice due?", "How many days of notice does the contract need?"]

        about_text = (vectors @ engine.embed_texts(questions).T).max()
        right = np.diag(vectors @ engine.embed_texts(["cat", "espresso", "rocket"]).T)

        assert about_text < right.min()

    def test_stored_class_vectors_equal_computed_ones(self, engine, model_folder, photographs, tmp_path):
        computed = engine_load(
            "conse",
            [model_folder("efficientnet-lite0"), model_folder("all-minilm-l6-v2")],
            threads=2,
            options={"heads": str(tmp_path)},
        )
        pictures = list(photographs.values())

        np.testing.assert_allclose(computed.embed_images(pictures), engine.embed_images(pictures), atol=1e-3)


@pytest.fixture(scope="module")
def conse_documents(model_folder):
    folders = [model_folder("efficientnet-lite0"), model_folder("all-minilm-l6-v2")]
    return engine_load("conse_documents", folders, threads=1)


@pytest.mark.weights
class TestConseDocumentsEmbedder(ImageTextConformance):
    @pytest.fixture
    def engine(self, conse_documents):
        return conse_documents

    @pytest.fixture
    def pictures(self, photographs):
        return list(photographs.values())

    @pytest.mark.parametrize(
        ("query", "shown"), [("a bar chart", "chart"), ("a page of text", "page"), ("a photo of a cat", "cat")]
    )
    def test_ranks_the_right_kind_of_document_first(self, engine, photographs, picture, query, shown):
        with Image.open(SAMPLES / "chart.png") as chart:
            gallery = {**photographs, "page": picture("page_columns.png"), "chart": np.asarray(chart.convert("RGB"))}

        scores = engine.embed_images(list(gallery.values())) @ engine.embed_texts([query])[0]

        assert list(gallery)[int(scores.argmax())] == shown

    def test_leaves_photographs_where_they_are_without_documents(self, engine, conse, photographs):
        pictures = list(photographs.values())

        kept = (engine.embed_images(pictures) * conse.embed_images(pictures)).sum(axis=1)

        assert kept.min() > 0.95


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A CLIP checkpoint of random weights, written as any other: safetensors and configuration."""
    torchvision_prepare()
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    (folder / "tiny-clip-of-a-test.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(folder / "tiny-clip-of-a-test.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-clip-of-a-test", precision="fp32")
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def open_clip_engine(clip_folder):
    return engine_load("open_clip", [clip_folder], threads=1, options={"architecture": "tiny-clip-of-a-test"})


class TestOpenClipEmbedder(ImageTextConformance):
    @pytest.fixture
    def engine(self, open_clip_engine):
        return open_clip_engine

    @pytest.fixture
    def pictures(self, photographs):
        return list(photographs.values())

    def test_gives_the_vectors_of_the_librarys_own_forward_pass(self, engine, clip_folder, pictures):
        import open_clip
        import torch
        from PIL import Image

        model, _, prepare = open_clip.create_model_and_transforms(
            "tiny-clip-of-a-test", pretrained=str(clip_folder / "model.safetensors"), precision="fp32"
        )
        texts = ["a cat", "an espresso on a saucer"]
        with torch.inference_mode():
            images, queries, _ = model.eval()(
                torch.stack([prepare(Image.fromarray(image)) for image in pictures]),
                open_clip.get_tokenizer("tiny-clip-of-a-test")(texts),
            )

        np.testing.assert_allclose(engine.embed_images(pictures), images.numpy(), atol=1e-4)
        np.testing.assert_allclose(engine.embed_texts(texts), queries.numpy(), atol=1e-4)

    def test_loads_an_architecture_described_beside_the_weights(self, engine, clip_folder, tmp_path):
        (tmp_path / "model.safetensors").symlink_to(clip_folder / "model.safetensors")
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY_CLIP, "preprocess_cfg": {}}))

        described = engine_load("open_clip", [tmp_path], threads=1)

        np.testing.assert_allclose(described.embed_texts(["a cat"]), engine.embed_texts(["a cat"]), atol=1e-6)

    def test_refuses_a_folder_without_weights(self, tmp_path):
        with pytest.raises(EngineUnavailable, match="fetch the model"):
            engine_load("open_clip", [tmp_path], threads=1, options={"architecture": "ViT-B-32"})

    def test_asks_for_the_architecture_where_nothing_states_it(self, clip_folder):
        with pytest.raises(InputRejected, match="name the architecture"):
            engine_load("open_clip", [clip_folder], threads=1)
