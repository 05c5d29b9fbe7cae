"""Log-mel features by the front end that funasr-onnx has, and what the network takes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MELS, WINDOW, SHIFT = 80, 7, 6
FRAME_S = 0.06  # s from one input of the network to the next
CENTRE_S = 0.0125  # s, the middle of the first
Array = npt.NDArray[Any]


class FrontEnd:
    """funasr-onnx's own, without the noise that it adds by default."""

    def __init__(self) -> None:
        from funasr_onnx.utils.frontend import WavFrontend

        self._front = WavFrontend(n_mels=MELS, lfr_m=WINDOW, lfr_n=SHIFT, dither=0.0)

    def __call__(self, audio: Array) -> Array:
        """(samples,) at 16 kHz to (frames of 10 ms, 80), float32."""
        features: Array = self._front.fbank(audio)[0]
        return features


def stack(features: Array) -> Array:
    """(frames, 80) to (frames / 6, 560): each input sees 7 frames, the first repeated before and the last after."""
    count = -(-len(features) // SHIFT)
    left = (WINDOW - 1) // 2
    places = np.arange(count)[:, None] * SHIFT + np.arange(WINDOW) - left
    return features[np.clip(places, 0, len(features) - 1)].reshape(count, -1)


def moments(pieces: list[Array]) -> tuple[Array, Array]:
    """Shift and scale, each (80,), that make the features of all pieces zero on average and of deviation 1."""
    count = sum(len(piece) for piece in pieces)
    mean = sum(piece.sum(0, dtype=np.float64) for piece in pieces) / count
    square = sum(np.square(piece, dtype=np.float64).sum(0) for piece in pieces) / count
    return -mean, 1 / np.sqrt(np.maximum(square - mean**2, 1e-6))
