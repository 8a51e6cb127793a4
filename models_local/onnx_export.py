"""Turns a transformer encoder in safetensors into an ONNX graph, as a child process that can do nothing else.

Run as ``python -I onnx_export.py FOLDER TARGET``; the folder holds config.json and model.safetensors. Equal weights
give equal bytes with the locked versions of torch and transformers: the catalog states the graph's digest.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

OPSET = 17
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "last_hidden_state"


def export(folder: Path, target: Path) -> None:
    """Write the encoder of ``folder``: ids and mask (batch, tokens) to hidden states (batch, tokens, width)."""
    import torch
    from transformers import AutoModel

    # Plain attention: the fused kinds have no ONNX form, and the runtime fuses what it can by itself.
    model = AutoModel.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, attn_implementation="eager"
    )

    class HiddenStates(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = model.eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    tokens = torch.arange(32).reshape(2, 16)
    axes = {0: "batch", 1: "tokens"}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about constants of the traced example, which the dynamic axes make good
        torch.onnx.export(
            HiddenStates(),
            (tokens, torch.ones_like(tokens)),
            str(target),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=dict.fromkeys((*INPUTS, OUTPUT), axes),
            opset_version=OPSET,
            dynamo=False,
        )
    target.chmod(0o644)


def torchvision_declare() -> None:
    """Let transformers import torchvision beside a CPU build of torch.

    The reason stands in ``inference.preprocessing.torch_operators``, which this room may not import.
    """
    import torch

    for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", "qnms(Tensor dets) -> Tensor"):
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            torch.library.define(f"torchvision::{schema.partition('(')[0]}", schema[schema.index("(") :])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from models_local.conversion import confine, refuse_outside

    confine()
    torchvision_declare()
    refuse_outside()
    export(Path(sys.argv[1]), Path(sys.argv[2]))
