from __future__ import annotations

import importlib.util
import inspect

import pytest

from inference import protocols
from inference.errors import InputRejected
from inference.registry import ENGINES, ROLES, engine_class, engine_load

FAKES = {
    "fake_speech": "speech",
    "fake_speaker": "speaker",
    "fake_ocr": "ocr",
    "fake_layout": "layout",
    "fake_text": "text",
    "fake_trigrams": "text_next",
    "fake_hungry": "text",
    "fake_aborting": "text",
    "fake_image_text": "image_text",
    "fake_vision": "vision",
    "fake_reranker": "reranker",
    "fake_language": "language",
}


class TestRoles:
    def test_cover_every_protocol(self):
        declared = {
            cls for _, cls in inspect.getmembers(protocols, inspect.isclass) if cls.__module__ == protocols.__name__
        }

        assert {role.protocol for role in ROLES.values()} == declared

    @pytest.mark.parametrize("name", ROLES)
    def test_list_exactly_the_methods_of_their_protocol(self, name):
        role = ROLES[name]
        methods = {method for method, value in vars(role.protocol).items() if inspect.isfunction(value)}

        assert set(role.methods) == {method for method in methods if not method.startswith("_")}


class TestEngines:
    def test_have_a_module_each(self):
        for entry in ENGINES.values():
            module, _, cls = entry.partition(":")
            assert importlib.util.find_spec(f"inference.engines.{module}"), entry
            assert cls

    @pytest.mark.parametrize(("name", "role"), FAKES.items())
    def test_fake_satisfies_the_protocol_of_its_role(self, name, role):
        engine = engine_load(name, [], threads=1)

        assert isinstance(engine, ROLES[role].protocol)
        assert all(hasattr(engine, attribute) for attribute in ROLES[role].attributes)

    def test_of_unknown_name_are_refused_with_the_known_ones(self):
        with pytest.raises(InputRejected, match=r"there is no engine 'whisper'; known are .*faster_whisper"):
            engine_class("whisper")
