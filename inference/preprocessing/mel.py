"""Mel power spectrogram on Slaney's scale, the input that GE2E speaker encoders are trained with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from inference.values import SAMPLE_RATE_HZ

CHANNELS = 40
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FRAMES_PER_S = SAMPLE_RATE_HZ // HOP_SAMPLES

# Slaney's Auditory Toolbox (1998): linear below 1 kHz, 27 steps per factor 6.4 above.
_LINEAR_HZ = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27


def mel_power(waveform: torch.Tensor) -> torch.Tensor:
    """Return the mel power (not its logarithm) of a waveform, shape (frames, 40), one frame every 10 ms."""
    spectrum = torch.stft(
        waveform,
        n_fft=WINDOW_SAMPLES,
        hop_length=HOP_SAMPLES,
        window=torch.hann_window(WINDOW_SAMPLES, device=waveform.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    filters = torch.from_numpy(mel_filters()).to(waveform.device)
    return (filters @ spectrum.abs().square()).T


def mel_filters() -> npt.NDArray[np.float32]:
    """Return triangular filters of equal area, shape (40, 201)."""
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    edges_hz = _hz(np.linspace(_mel(0.0), _mel(SAMPLE_RATE_HZ / 2), CHANNELS + 2))
    left, centre, right = (edges_hz[start : start + CHANNELS, None] for start in range(3))
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    return (np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)).astype(np.float32)


def _mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_MEL + float(np.log(hz / _BREAK_HZ)) / _LOG_STEP


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))
