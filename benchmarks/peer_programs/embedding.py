"""What a peer's own Python runs: ``python embedding.py PEER FOLDER THREADS``; imports nothing of this project.

Reads one JSON list of texts a line from stdin and answers each with a line ``{"seconds", "vectors"}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

Embed = Callable[[Sequence[str]], Any]


def fastembed(folder: str, threads: int) -> Embed:
    """Return fastembed's embedding of the same graph, with its defaults."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="same-weights",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="none/none"),
        dim=384,
        model_file="model.onnx",
    )
    model = TextEmbedding("same-weights", specific_model_path=folder, threads=threads, local_files_only=True)
    return lambda texts: list(model.embed(list(texts)))


def infinity(folder: str, threads: int) -> Embed:
    """Return infinity's embedding of the same weights in torch, with its defaults and its result cache off."""
    import asyncio

    import torch
    from infinity_emb import AsyncEngineArray, EngineArgs

    torch.set_num_threads(threads)
    arguments = EngineArgs(model_name_or_path=folder, engine="torch", device="cpu", lengths_via_tokenize=False)
    engine = AsyncEngineArray.from_args([arguments])[0]
    loop = asyncio.new_event_loop()
    loop.run_until_complete(engine.astart())
    return lambda texts: loop.run_until_complete(engine.embed(sentences=list(texts)))[0]


def embed_anything(folder: str, threads: int) -> Embed:  # noqa: ARG001 - its library takes the threads it finds
    """Return embed-anything's embedding of the same graph, with its defaults.

    It only loads from a hub or a hub's cache, so the folder stands in a cache that the caller laid out (HF_HOME).
    """
    import embed_anything as library
    from embed_anything import EmbeddingModel, WhichModel

    model = EmbeddingModel.from_pretrained_onnx(WhichModel.Bert, hf_model_id="same/weights", path_in_repo="model.onnx")
    return lambda texts: [one.embedding for one in library.embed_query(list(texts), embedder=model)]


PEERS = {"fastembed": fastembed, "infinity": infinity, "embed_anything": embed_anything}


def main() -> None:
    """Answer one batch of texts after the other."""
    embed = PEERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    embed(["warm up"])
    for line in sys.stdin:
        texts = json.loads(line)
        begun_s = time.perf_counter()
        vectors = embed(texts)
        seconds = time.perf_counter() - begun_s
        sys.stdout.write(json.dumps({"seconds": seconds, "vectors": [list(map(float, one)) for one in vectors]}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
