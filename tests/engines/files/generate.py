"""Draws and speaks the files of this folder; run by hand, never by a test.

Needs Pillow, espeak-ng, sox and the DejaVu fonts; takes a scratch folder.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
FONTS = Path("/usr/share/fonts/truetype/dejavu")

LEFT = (
    "The ferry to Tarn Island leaves the north pier every morning at a quarter past seven. Passengers with bicycles "
    "board first and wait on the lower deck until the ramp is raised. The crossing takes forty minutes in calm weather."
)
RIGHT = (
    "Tickets are sold at the blue kiosk beside the lighthouse, never on board. Children under six travel without "
    "charge. In strong wind the captain may return to the harbour; in that case every ticket stays valid for a week."
)
TABLE = (
    ("Station", "Opened", "Depth"),
    ("Alder Park", "1931", "18 m"),
    ("Quarry Lane", "1954", "27 m"),
    ("Mill Bridge", "1968", "22 m"),
    ("Harbour", "2003", "35 m"),
    ("Observatory", "2011", "41 m"),
)
SPEECH = (
    (
        "speech_english.flac",
        "en-us",
        "The committee will meet on Thursday at the old railway station. Please bring warm coats.",
    ),
    ("speech_german.flac", "de", "Guten Morgen. Der Zug nach Hamburg fährt heute um zehn Uhr."),
)
CONVERSATION = (
    ("en-us+m3", "Good morning. Did the delivery from the glass factory arrive yesterday?"),
    ("en-us+f5", "No, the truck was delayed, and we expect it on Friday afternoon."),
    ("en-us+m3", "Then we should move the opening of the exhibition to next week."),
    ("en-us+f5", "I agree. I will call the museum and tell them about the new date."),
)


def font(size: int, name: str = "DejaVuSerif.ttf") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONTS / name), size)


def page_columns() -> Image.Image:
    page = Image.new("L", (1000, 760), 255)
    draw = ImageDraw.Draw(page)
    draw.text((140, 40), "Timetable of the Island Ferry, Summer Season", font=font(30, "DejaVuSerif-Bold.ttf"))
    for x, text in ((60, LEFT), (540, RIGHT)):
        for number, line in enumerate(textwrap.wrap(text, 34)):
            draw.text((x, 130 + 44 * number), line, font=font(21))
    return page


def page_table() -> Image.Image:
    page = Image.new("L", (900, 560), 255)
    draw = ImageDraw.Draw(page)
    draw.text((60, 40), "Depth of the underground stations", font=font(28, "DejaVuSerif-Bold.ttf"))
    for row, cells in enumerate(TABLE):
        for column, cell in enumerate(cells):
            draw.text((80 + 280 * column, 130 + 60 * row), cell, font=font(24))
        draw.line((60, 175 + 60 * row, 840, 175 + 60 * row), fill=0)
    return page


def save(page: Image.Image, name: str) -> None:
    page.quantize(16).save(HERE / name, optimize=True)


def pictures() -> None:
    columns, table = page_columns(), page_table()
    save(columns, "page_columns.png")
    save(table, "page_table.png")
    save(columns.rotate(-90, expand=True), "page_turned_90.png")
    save(columns.rotate(180, expand=True), "page_turned_180.png")
    save(table.rotate(2.0, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC), "page_skewed.png")


def speak(voice: str, text: str, path: Path) -> None:
    subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(path), text], check=True)


def recordings(scratch: Path) -> None:
    for name, voice, text in SPEECH:
        speak(voice, text, scratch / "one.wav")
        subprocess.run(["sox", scratch / "one.wav", "-r", "16000", "-c", "1", "-b", "16", HERE / name], check=True)
    parts = []
    for number, (voice, text) in enumerate(CONVERSATION):
        speak(voice, text, scratch / f"{number}.wav")
        subprocess.run(
            [
                "sox",
                scratch / f"{number}.wav",
                "-r",
                "16000",
                "-b",
                "16",
                scratch / f"{number}p.wav",
                "pad",
                "0",
                "0.8",
            ],
            check=True,
        )
        parts.append(scratch / f"{number}p.wav")
    subprocess.run(["sox", *parts, HERE / "conversation.flac"], check=True)


if __name__ == "__main__":
    pictures()
    recordings(Path(sys.argv[1]))
