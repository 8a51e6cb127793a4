"""Sound windows are sample-exact, frames stand for scenes, and no file makes the reader open anything else."""

import io
import itertools
import socket
import threading
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from inference.errors import DamagedFile, EmptyInput, LimitExceeded
from inference.parsing import media
from inference.parsing.base import Limits, Parsed, ParseRequest
from inference.parsing.sniff import sniff

Read = Callable[..., Parsed]
SOUND_CODECS = {
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "flac": "flac",
    "ogg": "libopus",
    "m4a": "aac",
    "webm": "libopus",
}
RATE_HZ = 48_000


def tone(duration_s: float, steps_hz: tuple[int, ...] = (440,)) -> np.ndarray:
    """One pitch after another, each for the same share of the time."""
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    pitch = np.asarray(steps_hz)[np.minimum((time_s / duration_s * len(steps_hz)).astype(int), len(steps_hz) - 1)]
    return (0.5 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE_HZ) * 32_000).astype(np.int16)


def slide(text: str, size: tuple[int, int] = (640, 360)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((40, size[1] // 4), text, fill="black", font_size=36)
    return image


def media_write(
    path: Path,
    sound: np.ndarray | None = None,
    frames: list[Image.Image] | None = None,
    codec: str = "aac",
    rate: int = 10,
) -> Path:
    options = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as target:
        tracks = []
        if frames:
            video = target.add_stream("libvpx" if path.suffix == ".webm" else "libx264", rate=rate)
            video.width, video.height, video.pix_fmt = *frames[0].size, "yuv420p"
            tracks.append((video, [av.VideoFrame.from_image(frame) for frame in frames]))
        if sound is not None:
            audio = target.add_stream(codec, rate=RATE_HZ, layout="mono")
            pieces = []
            for start in range(0, len(sound), 960):
                piece = av.AudioFrame.from_ndarray(sound[None, start : start + 960], format="s16", layout="mono")
                piece.rate, piece.pts, piece.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
                pieces.append(piece)
            tracks.append((audio, pieces))
        for stream, pieces in tracks:
            for piece in [*pieces, None]:
                for packet in stream.encode(piece):
                    target.mux(packet)
    return path


def samples(parsed: Parsed) -> np.ndarray:
    name = parsed.extraction.audio_artefact
    assert name is not None
    with wave.open(io.BytesIO(parsed.artefacts[name])) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(sound.readframes(sound.getnframes()), dtype=np.int16)


def agreement(window: np.ndarray, whole: np.ndarray, begin: int, slack: int) -> float:
    """Correlation with the same part of the whole, moved by at most ``slack`` samples."""
    return max(
        float(np.corrcoef(window, whole[begin + lag : begin + lag + len(window)])[0, 1])
        for lag in range(-slack, slack + 1)
    )


def pitch_hz(sound: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(sound)).argmax() * 16_000 / len(sound))


class TestSound:
    @pytest.mark.parametrize("extension", sorted(SOUND_CODECS))
    def test_every_kind_is_found_and_heard(self, tmp_path: Path, extension: str) -> None:
        path = media_write(tmp_path / f"a.{extension}", tone(4.0), codec=SOUND_CODECS[extension])

        info = media.probe(path, sniff(path, "txt"))
        parsed = media.parse(path, info, ParseRequest())

        assert (info.family, info.extension) == ("audio", extension)
        assert info.duration_s == pytest.approx(4.0, abs=0.1)
        assert pitch_hz(samples(parsed)) == pytest.approx(440, abs=2)
        assert parsed.extraction.pictures == ()

    @pytest.mark.parametrize("extension", sorted(SOUND_CODECS))
    def test_windows_meet_without_a_missing_or_doubled_sample(self, tmp_path: Path, read: Read, extension: str) -> None:
        path = media_write(tmp_path / f"a.{extension}", tone(9.0, (300, 500, 700)), codec=SOUND_CODECS[extension])
        whole = samples(read(path))

        seams_s = [0.0, 2.3456, 3.0, 7.77777, None]
        windows = [samples(read(path, start_s=start, end_s=end)) for start, end in itertools.pairwise(seams_s)]

        assert sum(map(len, windows)) == len(whole)
        begin = len(windows[0])
        # Matroska's time stamps are whole milliseconds: 16 samples.
        slack = 16 if extension == "webm" else 1
        for window in windows[1:-1]:
            assert agreement(window, whole, begin, slack) > 0.995
            begin += len(window)

    def test_a_window_holds_its_own_part(self, tmp_path: Path, read: Read) -> None:
        path = media_write(tmp_path / "a.mp3", tone(9.0, (300, 500, 700)), codec="libmp3lame")

        parsed = read(path, start_s=3.5, end_s=5.5)

        assert parsed.extraction.audio_start_s == 3.5
        assert len(samples(parsed)) == 2 * 16_000
        assert pitch_hz(samples(parsed)) == pytest.approx(500, abs=2)

    def test_a_song_with_a_cover_is_sound(self, tmp_path: Path) -> None:
        plain = media_write(tmp_path / "plain.mp3", tone(3.0), codec="libmp3lame")
        cover = io.BytesIO()
        slide("Cover", (200, 200)).save(cover, "PNG")
        frame = b"\0image/png\0\x03\0" + cover.getvalue()
        body = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
        size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
        path = tmp_path / "a.mp3"
        path.write_bytes(b"ID3\x03\0\0" + size + body + plain.read_bytes())

        info = media.probe(path, sniff(path, ""))
        parsed = media.parse(path, info, ParseRequest())

        assert (info.family, info.extension) == ("audio", "mp3")
        assert parsed.extraction.pictures == ()
        assert pitch_hz(samples(parsed)) == pytest.approx(440, abs=2)

    def test_a_window_of_many_hours_is_refused(self, tmp_path: Path) -> None:
        path = media_write(tmp_path / "a.wav", tone(1.0), codec="pcm_s16le")
        info = media.source_info("wav", duration_s=36_000.0)

        with pytest.raises(LimitExceeded, match=r"36000 s of 'a\.wav' is over the limit of 7200 s"):
            media.parse(path, info, ParseRequest())


class TestVideo:
    @pytest.mark.parametrize("extension", ["mp4", "mkv", "mov", "webm"])
    def test_each_slide_is_one_frame_at_its_second(self, tmp_path: Path, extension: str) -> None:
        frames = [slide("Results: 41 units")] * 40 + [slide("Next: hire two people")] * 40
        sound = "libopus" if extension == "webm" else "aac"
        path = media_write(tmp_path / f"a.{extension}", tone(8.0), frames, codec=sound)

        info = media.probe(path, sniff(path, "txt"))
        parsed = media.parse(path, info, ParseRequest())

        assert (info.family, info.extension) == ("video", extension)
        first, second = (picture.anchor.frame_s for picture in parsed.extraction.pictures)
        assert first == pytest.approx(0.0, abs=0.05)
        assert second == pytest.approx(4.0, abs=0.5)
        assert all(picture.origin == "frame" and picture.needs_caption for picture in parsed.extraction.pictures)
        assert pitch_hz(samples(parsed)) == pytest.approx(440, abs=2)

    def test_a_silent_video_has_frames_alone(self, tmp_path: Path, read: Read) -> None:
        path = media_write(tmp_path / "a.mp4", None, [slide("Results")] * 20)

        parsed = read(path)

        assert parsed.extraction.audio_artefact is None
        assert len(parsed.extraction.pictures) == 1

    def test_windows_share_no_frame_and_lose_no_scene(self, tmp_path: Path, read: Read) -> None:
        frames = [slide(f"Slide {name}") for name in ("one", "twenty", "three hundred") for _ in range(40)]
        path = media_write(tmp_path / "a.mp4", None, frames)

        early, late = read(path, start_s=0.0, end_s=6.0), read(path, start_s=6.0)

        assert [picture.anchor.frame_s for picture in early.extraction.pictures] == [0.0, 4.0]
        assert [picture.anchor.frame_s for picture in late.extraction.pictures] == [6.0, 8.0]

    def test_frames_per_minute_are_bounded(self, tmp_path: Path, read: Read) -> None:
        frames = [slide("word " * (number // 15 % 7 + 1)) for number in range(300)]
        path = media_write(tmp_path / "a.mp4", None, frames)

        parsed = read(path, limits=Limits(frames_per_minute=3))

        assert len(parsed.extraction.pictures) == 3

    def test_a_black_beginning_is_no_scene(self, tmp_path: Path, read: Read) -> None:
        frames = [Image.new("RGB", (640, 360))] * 30 + [slide("Results")] * 30
        path = media_write(tmp_path / "a.mp4", None, frames)

        (picture,) = read(path).extraction.pictures

        assert picture.anchor.frame_s == pytest.approx(3.0, abs=0.5)


class TestDamage:
    def test_a_video_whose_end_is_missing_is_damaged(self, tmp_path: Path) -> None:
        frames = [slide(f"Slide {number}") for number in range(100)]
        whole = media_write(tmp_path / "whole.mp4", tone(10.0), frames).read_bytes()
        path = tmp_path / "a.mp4"
        path.write_bytes(whole[: len(whole) * 6 // 10])

        with pytest.raises(DamagedFile, match=r"'a\.mp4' is cut off: it states 10\.\d s but its content ends at"):
            media.probe(path, "mp4")

    def test_a_video_without_its_index_is_damaged(self, tmp_path: Path) -> None:
        whole = media_write(tmp_path / "whole.mkv", None, [slide("x")] * 10).read_bytes()
        path = tmp_path / "a.mkv"
        path.write_bytes(whole[:200])

        with pytest.raises((DamagedFile, EmptyInput), match=r"'a\.mkv'"):
            media.probe(path, "mkv")


class TestWhiteLists:
    @pytest.fixture
    def requests(self) -> Iterator[tuple[int, list[object]]]:
        accepted: list[object] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.1)
            stop = threading.Event()

            def accept() -> None:
                while not stop.is_set():
                    try:
                        connection, address = server.accept()
                    except TimeoutError:
                        continue
                    connection.close()
                    accepted.append(address)

            thread = threading.Thread(target=accept)
            thread.start()
            yield server.getsockname()[1], accepted
            stop.set()
            thread.join()

    @pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.ts", "list.mpd"])
    def test_a_playlist_makes_no_request(self, tmp_path: Path, requests: tuple[int, list[object]], name: str) -> None:
        port, accepted = requests
        path = tmp_path / name
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:{port}/1.ts\n#EXT-X-ENDLIST\n")

        with pytest.raises(DamagedFile):
            media.probe(path, "mp4")

        assert accepted == []
        assert sniff(path, path.suffix) == "txt"

    def test_without_the_white_lists_the_same_playlist_would(
        self, tmp_path: Path, requests: tuple[int, list[object]]
    ) -> None:
        port, accepted = requests
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:{port}/1.ts\n#EXT-X-ENDLIST\n")

        with pytest.raises(av.error.FFmpegError), path.open("rb") as stream:
            av.open(stream, options={"protocol_whitelist": "file,http,tcp"})

        assert len(accepted) >= 1

    def test_a_concatenation_opens_no_other_file(self, tmp_path: Path) -> None:
        media_write(tmp_path / "secret.wav", tone(2.0), codec="pcm_s16le")
        path = tmp_path / "a.wav"
        path.write_text("ffconcat version 1.0\nfile secret.wav\n")

        with pytest.raises(DamagedFile):
            media.probe(path, "wav")
