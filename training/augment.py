"""What happens to speech on its way: a throat of another size, a room, a microphone, noise, a level. Pure, seeded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

RATE = 16000  # Hz, what recognizers take
Audio = npt.NDArray[np.float32]


def throat(audio: Audio, rate: int, factor: float) -> Audio:
    """To 16 kHz, with pitch and formants `factor` times as high and everything as much faster."""
    return np.asarray(soxr.resample(audio, rate * factor, RATE), np.float32)


def channel(rng: np.random.Generator, audio: Audio) -> Audio:
    """The same length, through a room (sometimes) and a microphone of its own colour."""
    length = len(audio)
    size = 1 << (length + RATE // 2 - 1).bit_length()
    spectrum = np.fft.rfft(audio, size)
    if rng.random() < 0.6:
        spectrum = spectrum * np.fft.rfft(_room(rng), size)
    frequencies = np.linspace(0, RATE / 2, len(spectrum))
    points = np.linspace(0, RATE / 2, 9)
    decibels = np.interp(frequencies, points, rng.normal(0, 4 * rng.random(), len(points)))
    if rng.random() < 0.15:  # a telephone, a cheap codec
        edge = rng.uniform(3400, 7000)
        decibels = decibels - np.clip((frequencies - edge) / 300, 0, 1) * 40
    return np.asarray(np.fft.irfft(spectrum * 10 ** (decibels / 20), size)[:length], np.float32)


def _room(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """An impulse response: the direct sound at 0, then an exponential tail."""
    decay = rng.uniform(0.08, 0.45)  # s until it is 60 dB down
    time = np.arange(int(decay * RATE)) / RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail[: int(rng.uniform(0.001, 0.02) * RATE)] = 0
    tail *= 10 ** (-rng.uniform(2, 20) / 20) / max(float(np.sqrt((tail**2).sum())), 1e-9)
    tail[0] += 1
    return np.asarray(tail, np.float64)


def noise(rng: np.random.Generator, length: int) -> Audio:
    """Noise of one of several colours, its root mean square 1: hiss, rumble, hum, or one that comes and goes."""
    size = 1 << max(length - 1, 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequencies = np.arange(1, len(spectrum) + 1)
    made = np.fft.irfft(spectrum * frequencies ** -rng.uniform(0, 1.0), size)[:length]
    time = np.arange(length) / RATE
    if rng.random() < 0.2:
        made = made * (1 + 0.9 * np.sin(2 * np.pi * (rng.uniform(0.2, 4) * time + rng.random())))
    made /= max(float(np.sqrt((made**2).mean())), 1e-9)
    if rng.random() < 0.2:
        mains = rng.uniform(45, 400)
        hum = sum(np.sin(2 * np.pi * k * mains * time) / k for k in (1, 2, 3))
        made = 0.5 * made + np.asarray(hum)
        made /= max(float(np.sqrt((made**2).mean())), 1e-9)
    return np.asarray(made, np.float32)


def with_noise(rng: np.random.Generator, audio: Audio, low: float, high: float) -> Audio:
    """Speech in noise that is `low` to `high` dB weaker (of the parts that are not silent)."""
    loud = audio[np.abs(audio) > 0.02 * float(np.abs(audio).max(initial=0.0))]
    level = float(np.sqrt((loud**2).mean())) if len(loud) else 0.1
    return audio + np.float32(level * 10 ** (-rng.uniform(low, high) / 20)) * noise(rng, len(audio))


def at_level(rng: np.random.Generator, audio: Audio) -> Audio:
    """Its peak somewhere between whispering and full scale."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio * np.float32(10 ** (-rng.uniform(0.3, 30) / 20) / peak) if peak > 0 else audio
