"""Pictures drawn for training where few real ones are at hand: forms, bills, tables, letters, handwriting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_PAPERS = ((255, 255, 255), (255, 255, 255), (252, 250, 244), (244, 244, 240), (236, 232, 220))
_INKS = ((0, 0, 0), (20, 20, 25), (15, 30, 110), (30, 50, 150), (70, 70, 70))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drawer:
    """Draws from one generator of random numbers, with given fonts and words.

    Attributes:
        chance: Everything random comes from here.
        printed: Font files of type.
        written: Font files of handwriting.
        words: Vocabulary.
    """

    chance: np.random.Generator
    printed: Sequence[Path]
    written: Sequence[Path]
    words: Sequence[str]

    def table(self) -> Image.Image:
        """A table that fills the picture."""
        page = self._paper(int(self.chance.integers(500, 1100)), int(self.chance.integers(260, 900)))
        self._rows(page, (12, 12, page.width - 12, page.height - 12), size_px=int(self.chance.integers(13, 26)))
        return page

    def form(self) -> Image.Image:
        """A page with labelled boxes, lines and ticks to fill in."""
        page, draw, font, size_px = self._sheet()
        y = self._title(draw, font, size_px)
        boxed = self.chance.random() < 0.6
        while y < page.height - 3 * size_px:
            columns = int(self.chance.integers(1, 4))
            width_px = (page.width - 100) // columns
            for column in range(columns):
                x = 50 + column * width_px
                label = self._sentence(1, 3)
                draw.text((x, y), label, font=font, fill="black")
                if self.chance.random() < 0.2:
                    for tick in range(3):
                        draw.rectangle((x + 70 * tick, y + 1.5 * size_px, x + 70 * tick + size_px, y + 2.5 * size_px),
                                       outline="black")  # fmt: skip
                elif boxed:
                    draw.rectangle((x - 4, y - 4, x + width_px - 12, y + 2.6 * size_px), outline="black")
                else:
                    start = x + draw.textlength(label, font=font) + 8
                    draw.line((start, y + size_px, max(start, x + width_px - 20), y + size_px), fill="black")
                if self.chance.random() < 0.3:
                    hand = self._font(self.written, int(size_px * 1.4))
                    draw.text((x + 20, y + size_px), self._sentence(1, 2), font=hand, fill=self._ink())
            y += int(size_px * self.chance.uniform(2.9, 4.0))
        return page

    def invoice(self) -> Image.Image:
        """A bill: sender, number and date, items with prices, a total."""
        page, draw, font, size_px = self._sheet()
        large = self._font(self.printed, int(size_px * self.chance.uniform(1.8, 3)))
        heading = str(
            self.chance.choice(["INVOICE", "Invoice", "Rechnung", "FACTURE", "Receipt", "Factuur", "Fattura"])
        )
        draw.text((60, 50), self._sentence(1, 2), font=large, fill=self._colour())
        draw.text((page.width * self.chance.uniform(0.5, 0.7), 60), heading, font=large, fill="black")
        y = 50 + 4 * size_px
        for _ in range(int(self.chance.integers(3, 6))):
            draw.text((60, y), self._sentence(1, 3), font=font, fill="black")
            draw.text((page.width * 0.6, y), f"{self._sentence(1, 1)}: {self._number()}", font=font, fill="black")
            y += int(1.4 * size_px)
        y += 2 * size_px
        bottom = int(y + page.height * self.chance.uniform(0.15, 0.4))
        self._rows(page, (60, y, page.width - 60, bottom), size_px=size_px, prices=True)
        for word in ("Subtotal", "VAT", "Total"):
            bottom += int(1.5 * size_px)
            draw.text((page.width * 0.6, bottom), word, font=font, fill="black")
            draw.text((page.width * 0.8, bottom), self._number(), font=font, fill="black")
        draw.text((60, page.height - 3 * size_px), self._sentence(6, 10), font=font, fill=(90, 90, 90))
        return page

    def letter(self) -> Image.Image:
        """An address, a date, a greeting and paragraphs; unsigned."""
        page, draw, font, size_px = self._sheet()
        y = 60
        for _ in range(int(self.chance.integers(3, 5))):
            draw.text((70, y), self._sentence(2, 3), font=font, fill="black")
            y += int(1.4 * size_px)
        draw.text((page.width * 0.6, y + size_px), f"{self._sentence(1, 1)}, {self._number()}", font=font, fill="black")
        y += 5 * size_px
        draw.text((70, y), f"Dear {self._sentence(1, 2)},", font=font, fill="black")
        y += 2 * size_px
        end = page.height * self.chance.uniform(0.5, 0.75)
        while y < end:
            y = self._paragraph(draw, font, size_px, y, page.width - 140)
        draw.text((70, y + size_px), "Yours sincerely,", font=font, fill="black")
        return page

    def handwriting(self) -> Image.Image:
        """Notes by hand, on plain, ruled or squared paper."""
        page = self._paper(int(self.chance.integers(500, 1000)), int(self.chance.integers(300, 1200)))
        draw = ImageDraw.Draw(page)
        size_px = int(self.chance.integers(24, 60))
        font = self._font(self.written, size_px)
        step_px = int(size_px * self.chance.uniform(1.2, 1.7))
        ruled = self.chance.random()
        for y in range(step_px, page.height, step_px) if ruled < 0.6 else ():
            draw.line((0, y, page.width, y), fill=(170, 190, 225))
        for x in range(step_px, page.width, step_px) if ruled < 0.2 else ():
            draw.line((x, 0, x, page.height), fill=(170, 190, 225))
        ink = self._ink()
        for y in range(step_px - size_px, page.height - size_px, step_px):
            if self.chance.random() < 0.85:
                x = int(self.chance.integers(15, 70))
                line = self._sentence(3, 9)
                draw.text((x, y + int(self.chance.integers(-3, 4))), line, font=font, fill=ink)
        return self._scanned(page)

    def signed(self, page: Image.Image) -> Image.Image:
        """A copy of a page with a signature in its lower part."""
        signed = page.copy()
        width_px = int(page.width * self.chance.uniform(0.15, 0.32))
        mark = self._signature(width_px)
        x = int(self.chance.uniform(0.08, 0.9 - width_px / page.width) * page.width)
        y = int(self.chance.uniform(0.5, 0.9) * page.height) - mark.height // 2
        signed.paste(self._ink(), (x, min(y, page.height - mark.height)), mark)
        return signed

    def barcoded(self, page: Image.Image) -> Image.Image:
        """A copy of a page with a barcode of bars or squares."""
        coded = page.copy()
        side_px = int(min(page.size) * self.chance.uniform(0.16, 0.35))
        code = self._squares(side_px) if self.chance.random() < 0.5 else self._bars(int(side_px * 1.7), side_px // 2)
        at = self._place(page, code)
        coded.paste(code, at)
        return coded

    def pasted(self, page: Image.Image, picture: Image.Image) -> Image.Image:
        """A copy of a page with a picture set into it."""
        joined = page.copy()
        inset = picture.copy()
        share = self.chance.uniform(0.3, 0.6)
        inset.thumbnail((int(page.width * share), int(page.height * share)))
        joined.paste(inset, self._place(page, inset))
        return joined

    def tabled(self, page: Image.Image) -> Image.Image:
        """A copy of a page with a table set into it."""
        joined = page.copy()
        height_px = int(page.height * self.chance.uniform(0.12, 0.35))
        y = int(self.chance.uniform(0.1, 0.6) * page.height)
        box = (int(page.width * 0.1), y, int(page.width * 0.9), y + height_px)
        ImageDraw.Draw(joined).rectangle(box, fill="white")
        size_px = max(8, int(page.height / 70))
        self._rows(joined, (box[0] + 4, box[1] + 8, box[2] - 4, box[3] - 8), size_px=size_px)
        return joined

    def _sheet(self) -> tuple[Image.Image, ImageDraw.ImageDraw, ImageFont.FreeTypeFont, int]:
        page = self._paper(827, int(self.chance.integers(900, 1180)))
        size_px = int(self.chance.integers(12, 18))
        return page, ImageDraw.Draw(page), self._font(self.printed, size_px), size_px

    def _title(self, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, size_px: int) -> int:
        draw.text((50, 40), self._sentence(2, 5), font=self._font(self.printed, int(size_px * 1.8)), fill="black")
        return self._paragraph(draw, font, size_px, 40 + 4 * size_px, 700)

    def _paragraph(
        self, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, size_px: int, y: int, width_px: int
    ) -> int:
        for _ in range(int(self.chance.integers(2, 6))):
            line = self._sentence(6, 16)
            while draw.textlength(line, font=font) > width_px:
                line = line.rsplit(" ", 1)[0]
            draw.text((70, y), line, font=font, fill="black")
            y += int(1.4 * size_px)
        return y + size_px

    def _rows(self, page: Image.Image, box: tuple[int, int, int, int], *, size_px: int, prices: bool = False) -> None:
        draw = ImageDraw.Draw(page)
        font = self._font(self.printed, size_px)
        left, top, right, bottom = box
        columns = int(self.chance.integers(3 if prices else 2, 8))
        starts = np.linspace(left, right, columns + 1).astype(int)
        step_px = int(size_px * self.chance.uniform(1.5, 2.2))
        grid, shaded = self.chance.random() < 0.5, self.chance.random() < 0.4
        lines = list(range(top, bottom - step_px, step_px))
        for number, y in enumerate(lines):
            if (shaded and number % 2) or (number == 0 and self.chance.random() < 0.5):
                draw.rectangle((left, y, right, y + step_px), fill=(225, 230, 240))
            for column in range(columns):
                text = self._number() if number and (column or prices) and column != 1 else self._sentence(1, 2)
                while text and draw.textlength(text, font=font) > starts[column + 1] - starts[column] - 8:
                    text = text[:-1]
                draw.text((starts[column] + 4, y + 2), text, font=font, fill="black")
            if grid or number < 2:
                draw.line((left, y, right, y), fill="black")
        if not lines:
            return
        end = lines[-1] + step_px
        draw.line((left, end, right, end), fill="black")
        for start in starts if grid else ():
            draw.line((start, top, start, end), fill="black")

    def _signature(self, width_px: int) -> Image.Image:
        height_px = int(width_px * self.chance.uniform(0.3, 0.55))
        mark = Image.new("L", (width_px, height_px), 0)
        draw = ImageDraw.Draw(mark)
        if self.chance.random() < 0.3:
            font = self._font(self.written, int(height_px * 0.6))
            draw.text((2, height_px * 0.15), self._sentence(1, 2), font=font, fill=255)
            return mark
        for _ in range(int(self.chance.integers(1, 4))):
            knots = int(self.chance.integers(6, 16))
            x = np.linspace(0.03, 0.9, knots) + self.chance.normal(0, 0.08, knots)
            y = 0.5 + self.chance.normal(0, 0.22, knots)
            fine = np.linspace(0, knots - 1, knots * 14)
            smooth = np.hanning(15) / np.hanning(15).sum()
            points = [np.convolve(np.interp(fine, np.arange(knots), one), smooth, "same")[7:-7] for one in (x, y)]
            stroke = [(float(a) * width_px, float(b) * height_px) for a, b in zip(*points, strict=True)]
            draw.line(stroke, fill=255, width=max(1, width_px // int(self.chance.integers(60, 110))))
        return mark

    def _squares(self, side_px: int) -> Image.Image:
        import cv2

        encoder = cv2.QRCodeEncoder.create()
        code = Image.fromarray(np.asarray(encoder.encode(self._sentence(2, 8))))
        return code.convert("RGB").resize((side_px, side_px), Image.Resampling.NEAREST)

    def _bars(self, width_px: int, height_px: int) -> Image.Image:
        widths = self.chance.integers(1, 5, 90)
        edges = np.cumsum(widths) / widths.sum()
        code = Image.new("RGB", (width_px, height_px), "white")
        draw = ImageDraw.Draw(code)
        low = int(height_px * (0.82 if self.chance.random() < 0.7 else 1))
        for start, stop in zip(edges[1:-2:2], edges[2:-1:2], strict=False):
            left_px = int(start * width_px)
            draw.rectangle((left_px, 4, max(left_px, int(stop * width_px) - 1), low), fill="black")
        return code

    def _place(self, page: Image.Image, inset: Image.Image) -> tuple[int, int]:
        free = (max(1, page.width - inset.width), max(1, page.height - inset.height))
        return int(self.chance.integers(0, free[0])), int(self.chance.integers(0, free[1]))

    def _scanned(self, page: Image.Image) -> Image.Image:
        turned = page.rotate(float(self.chance.normal(0, 1.2)), Image.Resampling.BILINEAR, fillcolor="white")
        noise = self.chance.normal(0, self.chance.uniform(0, 6), turned.size[::-1])
        pixels = np.asarray(turned, dtype=np.float32) + noise[..., None]
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    def _paper(self, width_px: int, height_px: int) -> Image.Image:
        return Image.new("RGB", (width_px, height_px), _PAPERS[int(self.chance.integers(len(_PAPERS)))])

    def _font(self, files: Sequence[Path], size_px: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(files[int(self.chance.integers(len(files)))], size_px)

    def _ink(self) -> tuple[int, int, int]:
        return _INKS[int(self.chance.integers(len(_INKS)))]

    def _colour(self) -> tuple[int, ...]:
        return tuple(int(one) for one in self.chance.integers(0, 200, 3))

    def _sentence(self, least: int, most: int) -> str:
        count = int(self.chance.integers(least, most + 1))
        text = " ".join(self.words[int(one)] for one in self.chance.integers(0, len(self.words), count))
        return text[:1].upper() + text[1:]

    def _number(self) -> str:
        return f"{self.chance.uniform(0, 10 ** self.chance.uniform(1, 4)):.{int(self.chance.integers(0, 3))}f}"
