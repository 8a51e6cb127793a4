"""Makes the files of the format test anew; a developer's tool that no test calls.

Run ``python tests/formats/generate.py [NAME ...]`` with espeak-ng, ffmpeg, LibreOffice, pandoc, sox, ImageMagick,
Ghostscript, jq and node (with nodemailer reachable through NODE_PATH) installed, and aspose-email-foss, av, lxml,
matplotlib, numpy, odfpy, openpyxl, pikepdf, pillow, pillow-heif, pysubs2, python-docx, python-pptx, reportlab,
webvtt-py and xlsxwriter in the environment. The facts come from manifest.toml; the committed files are what counts.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import email.message
import email.policy
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import av
import docx
import matplotlib as mpl
import numpy as np
import odf.opendocument
import odf.table
import odf.text
import openpyxl
import pikepdf
import pillow_heif
import pptx
import pysubs2
import webvtt
import xlsxwriter
from aspose.email_foss import msg as outlook
from lxml import etree
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
FILES = HERE / "files"
HOSTILE = HERE / "hostile"
FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
VOICE = "en-us+m3"
DAY = datetime.datetime(2024, 3, 5, 10, 30, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One file of the manifest, as far as its maker needs it."""

    file: str
    fact: str


Maker: TypeAlias = Callable[[Sample, Path], None]


def run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=cwd, capture_output=True)


def pdf_reportlab(sample: Sample, target: Path) -> None:
    styles = getSampleStyleSheet()
    body = [
        Paragraph("Guide to the collections", styles["Title"]),
        Paragraph("The guide is renewed every second year.", styles["BodyText"]),
        PageBreak(),
        Paragraph("Dried plants", styles["Heading1"]),
        Paragraph(sample.fact, styles["BodyText"]),
    ]
    SimpleDocTemplate(str(target), title="Guide", invariant=1).build(body)


def by_libreoffice(output: str, source: Maker, suffix: str) -> Maker:
    """Make a file with ``source`` and let LibreOffice write it in another format."""

    def make(sample: Sample, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            original = Path(folder) / f"original{suffix}"
            source(sample, original)
            profile = f"-env:UserInstallation=file://{folder}/profile"
            run("soffice", "--headless", profile, "--convert-to", output, "--outdir", Path(folder) / "out", original)
            (made,) = (Path(folder) / "out").iterdir()
            shutil.copy(made, target)

    return make


def by_pandoc(output: str) -> Maker:
    """Let pandoc write the fact below two headings."""

    def make(sample: Sample, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.md"
            source.write_text(
                f"---\ntitle: Garden notes\nlang: en\n---\n\n# Preface\n\nThese notes are kept by the wardens.\n\n"
                f"# Remarks\n\n{sample.fact}\n",
                encoding="utf-8",
            )
            run("pandoc", "--standalone", "-t", output, "-o", target, source)

    return make


def docx_python(sample: Sample, target: Path) -> None:
    document = docx.Document()
    document.add_heading("Tool shed", 1)
    document.add_paragraph("Everybody signs for what is borrowed.")
    document.add_heading("Owners", 2)
    document.add_paragraph(sample.fact)
    document.save(target)


def pptx_python(sample: Sample, target: Path) -> None:
    show = pptx.Presentation()
    for title, text in [("The garden", "An overview for visitors"), ("Good to know", sample.fact)]:
        page = show.slides.add_slide(show.slide_layouts[1])
        page.shapes.title.text = title
        page.placeholders[1].text = text
    show.core_properties.last_modified_by = ""
    show.save(target)


def rows_of(sample: Sample) -> list[list[str]]:
    name, value = sample.fact.split(": ")
    return [["Item", "Amount"], ["Flower pot, clay", "900"], [name, value], ["Twine", "none"]]


def xlsx_openpyxl(sample: Sample, target: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Empty"
    sheet = book.create_sheet("Stock")
    for row in rows_of(sample):
        sheet.append([int(cell) if cell.isdigit() else cell for cell in row])
    book.save(target)


def xlsx_xlsxwriter(sample: Sample, target: Path) -> None:
    with xlsxwriter.Workbook(str(target)) as book:
        sheet = book.add_worksheet("Store room")
        for number, row in enumerate(rows_of(sample)):
            sheet.write_row(number, 1, row)


def ods_odfpy(sample: Sample, target: Path) -> None:
    document = odf.opendocument.OpenDocumentSpreadsheet()
    table = odf.table.Table(name="Cellar")
    for row in rows_of(sample):
        line = odf.table.TableRow()
        for value in row:
            cell = odf.table.TableCell(valuetype="string")
            cell.addElement(odf.text.P(text=value))
            line.addElement(cell)
        table.addElement(line)
    document.spreadsheet.addElement(table)
    document.save(str(target))


def csv_python(sample: Sample, target: Path) -> None:
    with target.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=";").writerows(rows_of(sample))


def txt_python(sample: Sample, target: Path) -> None:
    target.write_text(f"Diary of the wardens\n\nA quiet week.\n\n{sample.fact}\n", encoding="utf-8")


def json_jq(sample: Sample, target: Path) -> None:
    document = {"garden": {"beds": 14, "remark": sample.fact}, "season": "summer"}
    ended = subprocess.run(["jq", "."], input=json.dumps(document), capture_output=True, text=True, check=True)
    target.write_text(ended.stdout, encoding="utf-8")


def xml_lxml(sample: Sample, target: Path) -> None:
    root = etree.Element("garden")
    etree.SubElement(root, "bed", number="3").text = "Lavender"
    etree.SubElement(root, "remark").text = sample.fact
    etree.ElementTree(root).write(str(target), xml_declaration=True, encoding="utf-8", pretty_print=True)


def eml_python(sample: Sample, target: Path) -> None:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Garden office <office@garden.example>"
    message["To"] = "Wardens <wardens@garden.example>"
    message["Subject"] = "News of the week"
    message["Date"] = DAY
    message["Message-ID"] = "<week@garden.example>"
    message.set_content(f"Dear all,\n\n{sample.fact}\n\nThe office\n")
    target.write_bytes(message.as_bytes())


def eml_nodemailer(sample: Sample, target: Path) -> None:
    options = {
        "from": "Seed exchange <seeds@garden.example>",
        "to": "wardens@garden.example",
        "subject": "Grüße from the seed exchange",
        "date": DAY.isoformat(),
        "messageId": "<seeds@garden.example>",
        "html": f"<html><body><p>Dear wardens,</p><p>{sample.fact}</p></body></html>",
        "textEncoding": "base64",
    }
    script = (
        "const M = require('nodemailer/lib/mail-composer');"
        f"new M({json.dumps(options)}).compile().build((e, m) => require('fs').writeFileSync(process.argv[1], m));"
    )
    run("node", "-e", script, target)


def msg_aspose(sample: Sample, target: Path) -> None:
    message = outlook.MapiMessage.create(
        "Repair of the sundial", f"Hello,\r\n\r\n{sample.fact}\r\n\r\nThe workshop\r\n"
    )
    message.set_property(outlook.PropertyId.SENDER_NAME, "Workshop")
    message.set_property(outlook.PropertyId.SENDER_EMAIL_ADDRESS, "workshop@garden.example")
    message.set_property(outlook.PropertyId.MESSAGE_DELIVERY_TIME, DAY)
    message.add_recipient("wardens@garden.example", display_name="Wardens")
    message.save(str(target))


def cues_of(sample: Sample) -> list[tuple[int, int, str]]:
    return [(0, 2500, "Welcome to the garden film."), (3000, 7500, sample.fact), (8000, 9500, "Goodbye.")]


def srt_pysubs2(sample: Sample, target: Path) -> None:
    subtitles = pysubs2.SSAFile()
    subtitles.events = [pysubs2.SSAEvent(start=start, end=end, text=text) for start, end, text in cues_of(sample)]
    subtitles.save(str(target), format_="srt")


def vtt_webvtt(sample: Sample, target: Path) -> None:
    film = webvtt.WebVTT()
    for start, end, text in cues_of(sample):
        clock = [f"00:00:{value // 1000:02}.{value % 1000:03}" for value in (start, end)]
        film.captions.append(webvtt.Caption(*clock, f"<v Guide>{text}"))
    film.save(str(target))


def vtt_ffmpeg(sample: Sample, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.srt"
        srt_pysubs2(sample, source)
        run("ffmpeg", "-y", "-i", source, target)


def sign(text: str, *, size: tuple[int, int] = (900, 420), paper: str = "#f6f2e6", ink: str = "#1d2b1f") -> Image.Image:
    picture = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((12, 12, size[0] - 13, size[1] - 13), outline=ink, width=4)
    font = ImageFont.truetype(FONT, 46)
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) > size[0] - 120:
            lines.append(word)
        else:
            lines[-1] = longer
    for number, line in enumerate(lines):
        draw.text((60, 80 + 80 * number), line, font=font, fill=ink)
    return picture


def by_pillow(**options: object) -> Maker:
    def make(sample: Sample, target: Path) -> None:
        sign(sample.fact).save(target, **options)

    return make


def tiff_pillow(sample: Sample, target: Path) -> None:
    first = sign("Inventory of the seed store, first sheet", size=(900, 320))
    first.save(target, save_all=True, append_images=[sign(sample.fact, size=(900, 320))], compression="tiff_lzw")


def png_matplotlib(sample: Sample, target: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4), dpi=100)
    axes.axis("off")
    axes.text(0.5, 0.5, sample.fact, fontsize=24, ha="center", va="center", wrap=True)
    figure.savefig(target)
    plt.close(figure)


def png_ghostscript(sample: Sample, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.pdf"
        body = [Paragraph(f'<font size="26">{sample.fact}</font>', getSampleStyleSheet()["BodyText"])]
        body[0].style.leading = 36
        SimpleDocTemplate(str(source), pagesize=(420, 300), leftMargin=40, rightMargin=40, invariant=1).build(body)
        run("gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=png16m", "-r130", f"-sOutputFile={target}", source)


def by_picture_tool(*command: str) -> Maker:
    """Let a program turn a PNG into its own format; IN and OUT stand for the files."""

    def make(sample: Sample, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.png"
            sign(sample.fact).save(source)
            run(*(str({"IN": source, "OUT": target}.get(part, part)) for part in command))

    return make


def heic_pillow_heif(sample: Sample, target: Path) -> None:
    pillow_heif.register_heif_opener()
    sign(sample.fact).save(target, format="HEIF", quality=70)


def spoken(text: str, target: Path) -> None:
    run("espeak-ng", "-v", VOICE, "-p", "40", "-s", "140", "-g", "3", "-w", target, text)


def wav_espeak(sample: Sample, target: Path) -> None:
    spoken(sample.fact, target)


def by_sound_tool(*command: str) -> Maker:
    """Let a program encode the spoken fact; IN and OUT stand for the files."""

    def make(sample: Sample, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source.wav"
            spoken(sample.fact, source)
            run(*(str({"IN": source, "OUT": target}.get(part, part)) for part in command))

    return make


def ogg_opus_pyav(sample: Sample, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.wav"
        spoken(sample.fact, source)
        with av.open(str(source)) as heard, av.open(str(target), "w", format="ogg") as written:
            stream = written.add_stream("libopus", rate=48000, layout="mono")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=48000)
            for frame in heard.decode(audio=0):
                for piece in resampler.resample(frame):
                    written.mux(stream.encode(piece))
            written.mux(stream.encode(None))


def by_ffmpeg(*options: str, said: bool) -> Maker:
    """A film of one sign with sound: the fact is said, or shown while something else is said."""

    def make(sample: Sample, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            picture, sound = Path(folder) / "picture.png", Path(folder) / "sound.wav"
            sign("Garden film" if said else sample.fact, size=(960, 540)).save(picture)
            spoken(sample.fact if said else "Please look at the sign and read it.", sound)
            looped = ["-loop", "1", "-framerate", "10", "-i", picture, "-i", sound]
            run("ffmpeg", "-y", *looped, "-shortest", "-pix_fmt", "yuv420p", *options, target)

    return make


def mp4_pyav_silent(sample: Sample, target: Path) -> None:
    pictures = [
        sign("Results of the year", size=(960, 540), paper="#20324a", ink="#f0f0f0"),
        sign(sample.fact, size=(960, 540)),
    ]
    with av.open(str(target), "w", options={"movflags": "frag_keyframe+empty_moov"}) as film:
        stream = film.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        for picture in pictures:
            for _ in range(20):
                film.mux(stream.encode(av.VideoFrame.from_image(picture)))
        film.mux(stream.encode(None))


def hostile_files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.pdf"
        body = [Paragraph("Nobody may read this.", getSampleStyleSheet()["BodyText"])]
        SimpleDocTemplate(str(plain), invariant=1).build(body)
        with pikepdf.open(plain) as document:
            document.save(HOSTILE / "encrypted.pdf", encryption=pikepdf.Encryption(owner="owner", user="user", R=6))
        film = Path(folder) / "film.mp4"
        by_ffmpeg("-c:v", "libx264", "-c:a", "aac", "-b:a", "48k", said=True)(
            Sample(file="", fact="This film has no end."), film
        )
        whole = film.read_bytes()
        (HOSTILE / "truncated.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (HOSTILE / "empty.pdf").write_bytes(b"")
    (HOSTILE / "random.pdf").write_bytes(np.random.default_rng(7).bytes(6000))
    (HOSTILE / "text_named.pdf").write_text(
        "Note of the night watch\n\nThe spare lantern hangs in the pear tree.\n", encoding="utf-8"
    )
    sign("Parking only for the mole catcher").save(HOSTILE / "picture_named.txt", format="PNG")


MAKERS: dict[str, Maker] = {
    "reportlab.pdf": pdf_reportlab,
    "libreoffice.pdf": by_libreoffice("pdf", docx_python, ".docx"),
    "matplotlib.png": png_matplotlib,
    "ghostscript.png": png_ghostscript,
    "pillow.jpg": by_pillow(quality=88),
    "pillow.tiff": tiff_pillow,
    "ffmpeg.webp": by_picture_tool("ffmpeg", "-y", "-i", "IN", "-c:v", "libwebp", "-quality", "85", "OUT"),
    "imagemagick.bmp": by_picture_tool("convert", "IN", "-resize", "75%", "-colors", "16", "-type", "Palette", "OUT"),
    "ffmpeg.gif": by_picture_tool("ffmpeg", "-y", "-i", "IN", "OUT"),
    "pillow-heif.heic": heic_pillow_heif,
    "espeak-ng.wav": wav_espeak,
    "ffmpeg.mp3": by_sound_tool("ffmpeg", "-y", "-i", "IN", "-b:a", "48k", "OUT"),
    "sox.flac": by_sound_tool("sox", "IN", "-r", "16000", "OUT"),
    "ffmpeg-vorbis.ogg": by_sound_tool("ffmpeg", "-y", "-i", "IN", "-c:a", "libvorbis", "-q:a", "3", "OUT"),
    "pyav-opus.ogg": ogg_opus_pyav,
    "ffmpeg.m4a": by_sound_tool("ffmpeg", "-y", "-i", "IN", "-c:a", "aac", "-b:a", "48k", "OUT"),
    "ffmpeg.mp4": by_ffmpeg("-c:v", "libx264", "-crf", "28", "-c:a", "aac", "-b:a", "48k", said=True),
    "pyav-silent.mp4": mp4_pyav_silent,
    "ffmpeg.mkv": by_ffmpeg("-c:v", "libx264", "-crf", "28", "-c:a", "libvorbis", said=False),
    "ffmpeg.mov": by_ffmpeg("-c:v", "mpeg4", "-q:v", "6", "-c:a", "pcm_s16le", said=True),
    "ffmpeg.webm": by_ffmpeg("-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "0", "-c:a", "libopus", said=False),
    "python-docx.docx": docx_python,
    "pandoc.docx": by_pandoc("docx"),
    "libreoffice.odt": by_libreoffice("odt", docx_python, ".docx"),
    "libreoffice.doc": by_libreoffice("doc:MS Word 97", docx_python, ".docx"),
    "openpyxl.xlsx": xlsx_openpyxl,
    "xlsxwriter.xlsx": xlsx_xlsxwriter,
    "libreoffice.ods": by_libreoffice("ods", xlsx_xlsxwriter, ".xlsx"),
    "odfpy.ods": ods_odfpy,
    "libreoffice.xls": by_libreoffice("xls:MS Excel 97", xlsx_openpyxl, ".xlsx"),
    "python.csv": csv_python,
    "libreoffice.tsv": by_libreoffice("csv:Text - txt - csv (StarCalc):9,34,76,1", xlsx_xlsxwriter, ".xlsx"),
    "python-pptx.pptx": pptx_python,
    "pandoc.pptx": by_pandoc("pptx"),
    "libreoffice.odp": by_libreoffice("odp", pptx_python, ".pptx"),
    "libreoffice.ppt": by_libreoffice("ppt:MS PowerPoint 97", pptx_python, ".pptx"),
    "pandoc.html": by_pandoc("html5"),
    "libreoffice.html": by_libreoffice("html:HTML (StarWriter)", docx_python, ".docx"),
    "pandoc.md": by_pandoc("gfm"),
    "pandoc.rst": by_pandoc("rst"),
    "libreoffice.rtf": by_libreoffice("rtf", docx_python, ".docx"),
    "pandoc.rtf": by_pandoc("rtf"),
    "pandoc.epub": by_pandoc("epub3"),
    "libreoffice.epub": by_libreoffice("epub", docx_python, ".docx"),
    "lxml.xml": xml_lxml,
    "jq.json": json_jq,
    "python.txt": txt_python,
    "libreoffice.txt": by_libreoffice("txt:Text", docx_python, ".docx"),
    "python.eml": eml_python,
    "nodemailer.eml": eml_nodemailer,
    "aspose-foss.msg": msg_aspose,
    "webvtt-py.vtt": vtt_webvtt,
    "ffmpeg.vtt": vtt_ffmpeg,
    "pysubs2.srt": srt_pysubs2,
}


def main() -> None:
    FILES.mkdir(exist_ok=True)
    HOSTILE.mkdir(exist_ok=True)
    manifest = tomllib.loads((HERE / "manifest.toml").read_text(encoding="utf-8"))
    wanted = set(sys.argv[1:])
    for row in manifest["formats"]:
        sample = Sample(file=row["file"].removeprefix("files/"), fact=row["fact"])
        if not wanted or sample.file in wanted:
            MAKERS[sample.file](sample, FILES / sample.file)
    if not wanted:
        hostile_files()


if __name__ == "__main__":
    main()
