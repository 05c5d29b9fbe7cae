"""What runs underneath the engines: which device, how many threads, and whether it is what was asked for."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

from capsexp.engines.base import About
from capsexp.errors import EngineError

CUDA = "CUDAExecutionProvider"
# In silence no token of Paraformer's fires, and its decoder's convolution has nothing to run over: the one failure that
# is an answer. All others (memory, dimensions, a damaged model) are errors.
EMPTY = re.compile(r"while running Conv node\b.*\bInvalid input shape: \{\d\d?\}", re.DOTALL)


def device_id(device: str) -> str:
    """What funasr-onnx calls a device: `-1` for the CPU. Raises EngineError where the provider is missing, for
    funasr-onnx would run on the CPU instead."""
    if device == "cpu":
        return "-1"
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if CUDA not in available:
        raise EngineError(
            f"engine.device={device}: this onnxruntime has no {CUDA} (it has {', '.join(available)}); "
            "install onnxruntime-gpu in its place, or use engine.device=cpu"
        )
    return device.partition(":")[2] or "0"


def about(package: str, threads: int, device: str = "cpu") -> About:
    """What an engine says of itself for the record; `threads` as its library was told and has confirmed."""
    return {"library": f"{package} {metadata.version(package)}", "threads": threads, "device": device}


def check(session: Any, device: str, threads: int) -> None:
    """Whether the session runs where and as it was told; raises EngineError."""
    if device != "cpu" and CUDA not in session.get_providers():
        raise EngineError(
            f"engine.device={device}: ONNX Runtime fell back to {', '.join(session.get_providers())}; check that the "
            "CUDA and cuDNN it needs are installed, or use engine.device=cpu"
        )
    real = session.get_session_options().intra_op_num_threads
    if real != threads:
        raise EngineError(f"threads={threads}: ONNX Runtime uses {real}; give threads={real}")
