from __future__ import annotations

import socket

import psutil
import pytest
import xllamacpp

from inference.errors import EngineUnavailable, InputRejected
from inference.registry import engine_load
from tests.engines.conformance_language import LanguageConformance, request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def base_url(model_folder):
    """The address of a real llama-server with the embedded model, on TCP as another machine would offer it."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_folder("smollm2-135m-instruct") / "model.gguf")
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = free_port()
    parameters.n_ctx, parameters.n_parallel = 1024, 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
    parameters.n_gpu_layers = 0
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    yield f"http://127.0.0.1:{parameters.port}"
    del server


@pytest.fixture(scope="module")
def openai_local(base_url):
    engine = engine_load("openai_local", [], threads=1, options={"base_url": base_url})
    yield engine
    engine.close()


@pytest.mark.weights
class TestOpenAiLocalModel(LanguageConformance):
    @pytest.fixture
    def engine(self, openai_local):
        return openai_local

    def test_knows_the_window_of_the_server(self, engine):
        assert engine.context_tokens == 1024

    def test_closing_the_iterator_closes_the_connection(self, engine, base_url):
        port = int(base_url.rpartition(":")[2])
        deltas = engine.generate(request("Write a long story about a fox.", max_tokens=800))
        next(deltas)

        deltas.close()

        ours = [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == port]
        busy = [c for c in engine._http._transport._pool.connections if not c.is_idle()]
        assert busy == []
        assert len(ours) <= 1

    def test_names_what_the_server_offers_instead(self, base_url):
        with pytest.raises(EngineUnavailable, match=r"offers .*model"):
            engine_load("openai_local", [], threads=1, options={"base_url": base_url, "model": "other"})


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://8.8.8.8",
        "http://models.example.org:8000",
        "http://10.1.2.3:80/v1",
        "ftp://10.0.0.1",
        "http://0.0.0.0",
    ],
)
def test_refuses_what_is_no_address_of_a_private_network(address):
    with pytest.raises(InputRejected, match="base_url"):
        engine_load("openai_local", [], threads=1, options={"base_url": address})


def test_a_server_that_is_not_there_can_be_tried_again():
    with pytest.raises(EngineUnavailable, match="cannot reach"):
        engine_load("openai_local", [], threads=1, options={"base_url": f"http://127.0.0.1:{free_port()}"})
