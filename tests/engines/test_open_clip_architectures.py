"""open_clip's architectures with random weights, saved and loaded for real: the engine gives the library's vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from inference.preprocessing.torch_operators import torchvision_prepare
from inference.registry import engine_load
from tests.engines.tiny_vision_models import tokenizer_make

TEXTS = ["a cat on a roof", "an espresso on a saucer"]


@pytest.fixture
def pictures():
    drawn = np.random.default_rng(4)
    return [drawn.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((300, 410), (64, 64), (90, 500))]


def vectors_of_the_library(name, pretrained, pictures):
    import open_clip
    import torch

    model, _, prepare = open_clip.create_model_and_transforms(name, pretrained=pretrained, precision="fp32")
    model.eval()
    with torch.inference_mode():
        shown = model.encode_image(torch.stack([prepare(Image.fromarray(one)) for one in pictures]), normalize=True)
        said = model.encode_text(open_clip.get_tokenizer(name)(TEXTS), normalize=True)
    return shown.numpy(), said.numpy()


def save(model, folder):
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")


@pytest.mark.parametrize("architecture", ["ViT-B-32", "MobileCLIP2-S0"])
def test_an_architecture_by_name(architecture, tmp_path, pictures):
    torchvision_prepare()
    import open_clip

    save(open_clip.create_model(architecture, precision="fp32"), tmp_path)
    shown, said = vectors_of_the_library(architecture, str(tmp_path / "model.safetensors"), pictures)

    engine = engine_load("open_clip", [tmp_path], threads=1, options={"architecture": architecture, "batch_items": 2})

    np.testing.assert_allclose(engine.embed_images(pictures), shown, atol=1e-4)
    np.testing.assert_allclose(engine.embed_texts(TEXTS), said, atol=1e-4)
    engine.close()


def test_a_siglip2_folder_with_a_tokenizer_of_its_own(tmp_path, pictures):
    torchvision_prepare()
    import open_clip

    tokenizer = tokenizer_make()
    tokenizer.save_pretrained(tmp_path)
    described = open_clip.get_model_config("ViT-B-16-SigLIP2")
    described["embed_dim"] = described["text_cfg"]["width"] = 192
    described["vision_cfg"]["timm_model_name"] = "vit_tiny_patch16_224"
    described["vision_cfg"] |= {"timm_pool": "token", "timm_proj": None}
    described["text_cfg"] |= {"vocab_size": len(tokenizer), "layers": 2, "heads": 3}
    normalising = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "resize_mode": "squash"}
    written = {"model_cfg": described, "preprocess_cfg": normalising}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(written))
    save(open_clip.create_model(f"local-dir:{tmp_path}", precision="fp32", load_weights=False), tmp_path)
    shown, said = vectors_of_the_library(f"local-dir:{tmp_path}", None, pictures)

    engine = engine_load("open_clip", [tmp_path], threads=1)

    np.testing.assert_allclose(engine.embed_images(pictures), shown, atol=1e-4)
    np.testing.assert_allclose(engine.embed_texts(TEXTS), said, atol=1e-4)
    engine.close()
