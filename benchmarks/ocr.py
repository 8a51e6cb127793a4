"""Does reading several pages together read faster than RapidOCR page by page, and as rightly?

Both sides run in this process with the same models and cores.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from rapidocr import RapidOCR

from benchmarks.anchor import anchor
from benchmarks.error_rate import character_error_rate
from benchmarks.pages import DrawnPage, drawn_pages
from benchmarks.report import figure_of_runs, report
from core.host.memory import tree_pss_mib
from core.settings.env import REPOSITORY, env
from inference.registry import engine_load
from inference.values import RgbImage
from models_local.catalog import catalog_read
from models_local.store import Store

MODEL = "pp-ocrv6"
ORIENTATION = "page-orientation"
THREADS = 2
PAGES = 6
ROUNDS = 3


def raw_reader(folder: Path) -> RapidOCR:
    """Return the library's own reader with its own settings; only files and the search for turned lines are set.

    Whole pages are turned by the engine with a model of its own, which takes its time there; the library would ask a
    model about every line, so that it is spared that here.
    """
    reader = RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            "Det.model_path": str(next(folder.glob("*_det_*.onnx"))),
            "Rec.model_path": str(next(folder.glob("*_rec_*.onnx"))),
        }
    )
    reader(np.full((64, 320, 3), 255, np.uint8))
    return reader


def raw_read(reader: RapidOCR, image: RgbImage) -> str:
    """Read one page; its lines in the library's order."""
    found: Any = reader(np.ascontiguousarray(image[:, :, ::-1]))
    return "\n".join(found.txts or ())


def measured(engine: Any, reader: RapidOCR, pages: list[DrawnPage]) -> dict[str, Any]:
    """Read all pages in turn with both sides, round after round."""
    ratios: list[float] = []
    rates: dict[str, list[float]] = {"ours": [], "raw": []}
    for _ in range(ROUNDS):
        begun_s = time.perf_counter()
        readings = engine.read([page.image for page in pages])
        between_s = time.perf_counter()
        raw_texts = [raw_read(reader, page.image) for page in pages]
        ended_s = time.perf_counter()
        ratios.append((ended_s - between_s) / (between_s - begun_s))
        rates["ours"].append(len(pages) / (between_s - begun_s))
        rates["raw"].append(len(pages) / (ended_s - between_s))
    wanted = "\n".join(page.text for page in pages)
    texts = ["\n".join(line.text for line in reading.lines) for reading in readings]
    return {
        "ratios": ratios,
        "quality": {
            "cer_ours": round(character_error_rate(wanted, "\n".join(texts)), 4),
            "cer_raw": round(character_error_rate(wanted, "\n".join(raw_texts)), 4),
            "pages_per_s_ours": round(sorted(rates["ours"])[ROUNDS // 2], 3),
            "pages_per_s_raw": round(sorted(rates["raw"])[ROUNDS // 2], 3),
            "pages": len(pages),
        },
    }


def main() -> dict[str, Any]:
    """Measure, print and store."""
    catalog = catalog_read(REPOSITORY / "configs" / "models.toml")
    store = Store(env().weights, catalog)
    folders = [store.folder(MODEL), store.folder(ORIENTATION)]
    engine = engine_load("rapidocr", folders, threads=THREADS)
    pages = drawn_pages(PAGES)
    engine.read([page.image for page in pages])
    pss_mib = round(tree_pss_mib([os.getpid()]))
    reader = raw_reader(folders[0])
    beside = anchor()
    found = measured(engine, reader, pages)
    figure = figure_of_runs(
        "OCR pages/s / raw RapidOCR", found["ratios"], goal=1.3, quality=found["quality"], anchor=beside
    )
    digests = {name: catalog.model(name).digest for name in (MODEL, ORIENTATION)}
    return report("ocr", [figure], models=digests, settings={"threads": THREADS, "rounds": ROUNDS}, pss_mib=pss_mib)


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
