"""Makes the sample collection anew; a developer's tool that nothing else calls.

Run ``python configs/samples/generate.py`` with espeak-ng and ffmpeg on the PATH and matplotlib, numpy, openpyxl,
pillow, python-docx, python-pptx, reportlab and scikit-image installed. The committed files are what counts: check
manifest.toml against them after every run. All names, places and figures are invented.
"""

from __future__ import annotations

import csv
import datetime
import email.message
import email.policy
import io
import subprocess
import tempfile
from pathlib import Path

import docx
import matplotlib as mpl
import numpy as np
import openpyxl
import pptx
import skimage.data
from PIL import Image, ImageDraw, ImageFont
from pptx.util import Inches
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import BaseDocTemplate, Frame, FrameBreak, PageTemplate, Paragraph, Spacer, Table, TableStyle

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
NIGHT = (22, 40, 66)
PAPER = (252, 250, 244)

MAN = ("en-us+m3", 38)
WOMAN = ("en-us+f5", 62)

MEETING = [
    (MAN, "Good morning, and welcome to the weekly meeting of the harbor office."),
    (WOMAN, "Good morning. I have two short reports from the repair team."),
    (MAN, "Please begin with the bridge."),
    (WOMAN, "The swing bridge will be painted green in October."),
    (MAN, "Who pays for the paint?"),
    (WOMAN, "The city council pays for it. We only pay for the brushes and the boat."),
    (MAN, "Very good. What is the second report about?"),
    (WOMAN, "It is about the clock on the customs house. The clock is four minutes slow, and nobody has a key."),
    (MAN, "I know where the key is. The key to the clock hangs behind the door of the bakery."),
    (WOMAN, "Thank you. Then we can repair the clock before the winter."),
    (MAN, "That is all for today. The next meeting is on Thursday, in the small room."),
]

SLIDES = [
    ("Flood alarm", ["The siren on the water tower", "Three long tones: leave the quay"]),
    ("Flood barrier", ["Height of the barrier: 6.4 metres", "Closing time: 25 minutes"]),
]
NARRATION = [
    "This film is about the flood alarm. The siren is tested on the first Monday of every month. "
    "When you hear the long tones, leave your work and walk up the hill.",
    "The second part is about the barrier. Two people are needed to close the gate by hand. "
    "The winter watch sleeps in the round house next to the gate.",
]


def font(size_px: int, name: str = "DejaVuSans.ttf") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / name, size_px)


def report_pdf() -> None:
    styles = getSampleStyleSheet()
    document = BaseDocTemplate(
        str(HERE / "maintenance-report.pdf"),
        pagesize=A4,
        title="Harbour maintenance report 2021",
        author="Harbour office",
        invariant=1,
    )
    width, height = A4
    margin, gutter, head = 20 * mm, 8 * mm, 42 * mm
    column = (width - 2 * margin - gutter) / 2
    upper = 118 * mm
    top = height - margin - head
    frames = [
        Frame(margin, top, width - 2 * margin, head, id="head", showBoundary=0),
        Frame(margin, top - upper, column, upper, id="left"),
        Frame(margin + column + gutter, top - upper, column, upper, id="right"),
        Frame(margin, margin, width - 2 * margin, top - upper - margin, id="foot"),
    ]
    document.addPageTemplates([PageTemplate(id="page", frames=frames)])
    heading, body = styles["Heading2"], styles["BodyText"]
    table = Table(
        [
            ["Crane", "Quay", "Safe load", "Inspected"],
            ["Old Martha", "North quay", "12 tonnes", "4 May 2021"],
            ["Grey Heron", "Coal quay", "35 tonnes", "18 August 2021"],
            ["Little Jack", "Fish market", "3 tonnes", "9 November 2021"],
        ],
        colWidths=[column * 0.5] * 4,
    )
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.lightgrey),
                ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
            ]
        )
    )
    story = [
        Paragraph("Harbour maintenance report 2021", styles["Title"]),
        Paragraph("Issued by the works department of the harbour office for the annual inspection.", body),
        FrameBreak(),
        Paragraph("Heating", heading),
        Paragraph(
            "The boiler in hall 4 was serviced on 12 March 2021. The burner and both valves were replaced.", body
        ),
        Paragraph("Hall 2 is still heated with the stove of the former net store, which needs a new flue.", body),
        Paragraph("Roofs", heading),
        Paragraph(
            "Winter storms tore slates from the roof of the rope walk. The damaged part, some forty square metres, was "
            "covered again in spring, and the gutters were cleaned in the same week.",
            body,
        ),
        FrameBreak(),
        Paragraph("Water and drains", heading),
        Paragraph(
            "The drain below the fish market was flushed twice. Divers found no damage on the sluice, but asked for a "
            "new ladder on the seaward side.",
            body,
        ),
        Paragraph("Electrical works", heading),
        Paragraph(
            "All lamps along the mole were changed to light-emitting diodes, which halved the use of electricity. The "
            "distribution board of the dry dock was given a second earth fault switch.",
            body,
        ),
        FrameBreak(),
        Paragraph("Inspection of the cranes", heading),
        table,
        Spacer(1, 4 * mm),
        Paragraph("Table 1: All cranes of the harbour.", body),
    ]
    document.build(story)


def scan_pdf() -> None:
    pages = [
        scanned_page(
            "Delivery record",
            [
                "North quay, warehouse of the lamp office",
                "",
                "The night ferry delivered 48 barrels of",
                "lamp oil on 3 May 1987.",
                "",
                "Two barrels were found to be leaking and",
                "were set aside for the carrier.",
                "The remaining barrels were rolled to the",
                "cellar and counted a second time.",
            ],
            angle_deg=1.5,
            seed=1,
        ),
        scanned_page(
            "Delivery record, second sheet",
            [
                "Remarks of the storekeeper",
                "",
                "The cellar door was sealed with a lead seal",
                "bearing the number 7731.",
                "",
                "The empty casks go back with the next",
                "ferry. The carrier signed for them.",
            ],
            angle_deg=-1.4,
            seed=2,
        ),
    ]
    pages[0].save(HERE / "delivery-scan.pdf", save_all=True, append_images=pages[1:], resolution=150, quality=60)


def scanned_page(title: str, lines: list[str], *, angle_deg: float, seed: int) -> Image.Image:
    """A4 at 150 dpi: printed, put crookedly on the glass, slightly noisy."""
    page = Image.new("L", (1240, 1754), 250)
    draw = ImageDraw.Draw(page)
    draw.text((150, 190), title, font=font(46, "DejaVuSerif-Bold.ttf"), fill=30)
    draw.line((150, 262, 1090, 262), fill=60, width=3)
    for number, line in enumerate(lines):
        draw.text((150, 320 + 58 * number), line, font=font(34, "DejaVuSerif.ttf"), fill=40)
    draw.ellipse((850, 1290, 1080, 1520), outline=120, width=5)
    draw.text((888, 1380), "LAMP OFFICE", font=font(22, "DejaVuSerif.ttf"), fill=120)
    page = page.rotate(angle_deg, resample=Image.Resampling.BICUBIC, fillcolor=250)
    noise = np.random.default_rng(seed).normal(0, 6, (1754, 1240))
    return Image.fromarray(np.clip(np.asarray(page, dtype=np.float64) + noise, 0, 255).astype(np.uint8))


def photograph() -> None:
    """The photograph ``chelsea`` of scikit-image's data, CC0; see manifest.toml."""
    Image.fromarray(skimage.data.chelsea()).save(HERE / "photograph.jpg", quality=92)


def chart() -> None:
    months, visitors = ["April", "May", "June", "July", "August"], [1350, 1980, 2740, 4210, 3890]
    figure, axes = plt.subplots(figsize=(9, 6), dpi=120)
    bars = axes.bar(months, visitors, color="#2f6690", width=0.6)
    axes.bar_label(bars, fontsize=13, padding=3)
    figure.suptitle("Visitors of the lighthouse museum", fontsize=19)
    axes.set_title("July was the busiest month with 4210 visitors", fontsize=15)
    axes.set_ylabel("Visitors", fontsize=14)
    axes.tick_params(labelsize=14)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(HERE / "chart.png")
    plt.close(figure)


def speech(voice: tuple[str, int], text: str, target: Path) -> None:
    name, pitch = voice
    command = ["espeak-ng", "-v", name, "-p", str(pitch), "-s", "145", "-g", "3", "-w", str(target), text]
    subprocess.run(command, check=True)


def recording(folder: Path) -> None:
    parts = []
    for number, (voice, text) in enumerate(MEETING):
        part = folder / f"turn{number:02}.wav"
        speech(voice, text, part)
        parts.append(part)
    sound_join(parts, HERE / "meeting.mp3", pause_s=0.6, options=["-ac", "1", "-ar", "22050", "-b:a", "64k"])


def sound_join(parts: list[Path], target: Path, *, pause_s: float, options: list[str]) -> None:
    inputs = [argument for part in parts for argument in ("-i", str(part))]
    padded = ";".join(f"[{i}:a]apad=pad_dur={pause_s}[p{i}]" for i in range(len(parts)))
    joined = "".join(f"[p{i}]" for i in range(len(parts))) + f"concat=n={len(parts)}:v=0:a=1[out]"
    command = ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", f"{padded};{joined}", "-map", "[out]"]
    subprocess.run([*command, *options, str(target)], check=True)


def slide(title: str, lines: list[str], *, dark: bool) -> Image.Image:
    picture = Image.new("RGB", (1280, 720), NIGHT if dark else PAPER)
    draw = ImageDraw.Draw(picture)
    ink = (240, 240, 240) if dark else (20, 20, 20)
    draw.text((90, 110), title, font=font(72, "DejaVuSans-Bold.ttf"), fill=ink)
    for number, line in enumerate(lines):
        draw.text((90, 290 + 100 * number), line, font=font(46), fill=ink)
    draw.rectangle((0, 660, 1280, 720), fill=(200, 90, 40) if dark else (40, 110, 90))
    return picture


def video(folder: Path) -> None:
    pieces = []
    for number, ((title, lines), text) in enumerate(zip(SLIDES, NARRATION, strict=True)):
        picture, sound, piece = folder / f"s{number}.png", folder / f"s{number}.wav", folder / f"s{number}.mkv"
        slide(title, lines, dark=number == 0).save(picture)
        speech(MAN, text, sound)
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-y",
            "-loop",
            "1",
            "-framerate",
            "10",
            "-i",
            str(picture),
            "-i",
            str(sound),
        ]
        command += ["-filter_complex", "[1:a]apad=pad_dur=1[a]", "-map", "0:v", "-map", "[a]", "-shortest"]
        command += ["-c:v", "ffv1", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", str(piece)]
        subprocess.run(command, check=True)
        pieces.append(piece)
    inputs = [argument for piece in pieces for argument in ("-i", str(piece))]
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        *inputs,
        "-filter_complex",
        "[0:v][0:a][1:v][1:a]concat=n=2:v=1:a=1[v][a]",
    ]
    command += ["-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-crf", "26", "-pix_fmt", "yuv420p"]
    command += ["-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", str(HERE / "flood-alarm.mp4")]
    subprocess.run(command, check=True)


def house_rules_docx() -> None:
    document = docx.Document()
    document.add_heading("House rules of the sailors' guest house", 0)
    document.add_heading("Arrival and departure", 1)
    document.add_paragraph("The guest house locks its front door at half past ten in the evening.")
    document.add_paragraph("Rooms are to be left by eleven in the morning on the day of departure.")
    document.add_heading("Prices", 1)
    table = document.add_table(rows=1, cols=3, style="Table Grid")
    for cell, text in zip(table.rows[0].cells, ["Room", "Beds", "Price per night"], strict=True):
        cell.text = text
    for row in [("Pilot room", "1", "44 euros"), ("Helmsman room", "2", "61 euros"), ("Dormitory", "8", "17 euros")]:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.add_heading("Kitchen", 1)
    document.add_paragraph("The kitchen is free for all guests; whoever cooks also washes up.", style="List Bullet")
    document.add_paragraph("Fish may be cleaned only in the yard.", style="List Bullet")
    document.core_properties.author = "Guest house"
    document.save(HERE / "house-rules.docx")


def stock_xlsx() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Spare parts"
    sheet.append(["Part", "In stock", "Shelf", "Supplier"])
    for row in [
        ("Copper sealing ring", 137, "B7", "Metal works at the canal"),
        ("Oak wedge", 420, "A2", "Sawmill on the heath"),
        ("Signal lamp glass, red", 16, "C1", "Glass house"),
        ("Hemp rope, 20 mm", 9, "D4", "Rope walk"),
    ]:
        sheet.append(row)
    orders = book.create_sheet("Orders")
    orders.append(["Part", "Ordered", "Due"])
    orders.append(["Signal lamp glass, green", 24, datetime.date(2022, 2, 1)])
    book.save(HERE / "spare-parts.xlsx")


def training_pptx() -> None:
    show = pptx.Presentation()
    for title, points in [
        ("First days at the harbour", ["Welcome to the works department", "Meet your mentor at the gatehouse"]),
        (
            "Safety card",
            [
                "New staff receive the blue safety card after two days of training.",
                "The card opens the gate to the dry dock.",
            ],
        ),
        ("Questions", ["The training desk is on the second floor."]),
    ]:
        page = show.slides.add_slide(show.slide_layouts[1])
        page.shapes.title.text = title
        page.placeholders[1].text = "\n".join(points)
    box = show.slides[0].shapes.add_textbox(Inches(1), Inches(6), Inches(6), Inches(0.6))
    box.text_frame.text = "Training department, edition 5"
    show.core_properties.author = show.core_properties.last_modified_by = "Training department"
    show.save(HERE / "training.pptx")


def library_html() -> None:
    (HERE / "library.html").write_text(
        """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>The harbour library</title>
<style>body { font-family: serif; }</style></head>
<body>
<nav><a href="#lending">Lending</a> <a href="#hours">Opening hours</a></nav>
<h1>The harbour library</h1>
<h2 id="lending">Lending</h2>
<p>The library lends nautical charts for 21 days. Books may be kept for twice as long.</p>
<h2 id="hours">Opening hours</h2>
<table>
<tr><th>Day</th><th>Open</th></tr>
<tr><td>Tuesday</td><td>10 to 18</td></tr>
<tr><td>Saturday</td><td>9 to 13</td></tr>
</table>
<script>console.log("the reading room is haunted");</script>
</body>
</html>
""",
        encoding="utf-8",
    )


def audit_eml() -> None:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Audit office <audit@harbour.example>"
    message["To"] = "Works department <works@harbour.example>"
    message["Subject"] = "Announcement"
    message["Date"] = datetime.datetime(2022, 8, 29, 9, 15, tzinfo=datetime.UTC)
    message["Message-ID"] = "<fuel-audit@harbour.example>"
    message.set_content(
        "Dear colleagues,\n\nthe audit of the fuel depot begins on 14 September 2022. Please keep the keys of all "
        "tanks ready.\n\nThe invoice of the pump maker is attached.\n\nThe audit office\n"
    )
    message.add_attachment(invoice_pdf(), maintype="application", subtype="pdf", filename="invoice.pdf")
    (HERE / "audit.eml").write_bytes(message.as_bytes())


def invoice_pdf() -> bytes:
    styles = getSampleStyleSheet()
    buffer = io.BytesIO()
    document = BaseDocTemplate(buffer, pagesize=A4, title="Invoice", invariant=1)
    document.addPageTemplates([PageTemplate(frames=[Frame(25 * mm, 25 * mm, 160 * mm, 240 * mm)])])
    document.build(
        [
            Paragraph("Invoice of the pump maker", styles["Title"]),
            Paragraph(
                "The repair of the bilge pump costs 1,875 euros including all spare gaskets.", styles["BodyText"]
            ),
            Paragraph("Payable within thirty days.", styles["BodyText"]),
        ]
    )
    return buffer.getvalue()


def sail_loft_md() -> None:
    (HERE / "sail-loft.md").write_text(
        """# Sail loft

The sail loft stands above the boat shed.

## Repairs

Torn sails are accepted for repair only on Wednesdays. Bring the sail **dry** and folded.

- Small tears: one week
- New eyelets: while you wait

## Tools

| Tool | Kept in |
| --- | --- |
| Sewing palm | first drawer |
| Fid | second drawer |
""",
        encoding="utf-8",
    )


def tide_gauge_txt() -> None:
    (HERE / "tide-gauge.txt").write_text(
        """Notes on the tide gauge

The tide gauge at the east pier was built by a watchmaker and stood in a wooden hut.

The hut was lost in the storm of January 1976. The new gauge was set up two years later on the concrete foot of the old
beacon and has been read every six hours since.

The oldest readings are kept in the tower, bound in grey linen.
""",
        encoding="utf-8",
    )


def arrivals_csv() -> None:
    with (HERE / "arrivals.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Ship", "Berth", "Cargo", "Tonnes"])
        writer.writerow(["Silver Plover", "Berth 12", "Timber", 640])
        writer.writerow(["Amber Coast", "Berth 3", "Grain", 1120])
        writer.writerow(["Northern Lady", "Berth 8", "Salt", 275])


def main() -> None:
    report_pdf()
    scan_pdf()
    photograph()
    chart()
    house_rules_docx()
    stock_xlsx()
    training_pptx()
    library_html()
    audit_eml()
    sail_loft_md()
    tide_gauge_txt()
    arrivals_csv()
    with tempfile.TemporaryDirectory() as folder:
        recording(Path(folder))
        video(Path(folder))


if __name__ == "__main__":
    main()
