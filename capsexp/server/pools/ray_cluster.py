"""Ray's driver as a child of the gateway: a separate process, because Ray kills its driver when the cluster's head node
is lost."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from capsexp import lifeline
from capsexp.tool import TOKEN

log = logging.getLogger(__name__)

LINE = 65536  # characters of a line of the driver's, at most
GONE_S = 1.0  # for what was killed to be gone


class RayCluster:
    """`address`: pool.address; `on_driver` is told the driver's pid."""

    def __init__(self, address: str, on_driver: Callable[[int], None]) -> None:
        self._address, self._on_driver = address, on_driver
        self._driver: subprocess.Popen[str] | None = None
        self._folder: str | None = None

    def start(self, nodes: int, listen: Callable[[str], int], secret: bytes, fail: Callable[[str], None]) -> None:
        if self._address == "local":
            self._folder = tempfile.mkdtemp(prefix="cx-ray-", dir="/tmp")  # sockets' paths have 107 characters at most
        self._driver = subprocess.Popen(
            [sys.executable, "-m", "capsexp.server.pools.ray_driver"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,  # a signal to our group is ours to answer; it ends with its stdin
            env={key: value for key, value in os.environ.items() if key != TOKEN},  # all of Ray would inherit it
        )  # fmt: skip
        self._on_driver(self._driver.pid)
        self._say(address=self._address, nodes=nodes, folder=self._folder)
        threading.Thread(target=self._hear, args=(listen, secret, fail), daemon=True).start()

    def alive(self) -> bool:
        if self._driver is not None and self._driver.poll() is None:
            return True
        self._tidy()
        return False

    def end(self) -> None:
        if self._driver is not None and self._driver.stdin is not None:
            with contextlib.suppress(OSError):
                self._driver.stdin.close()

    def kill(self) -> None:
        if self._driver is not None:
            lifeline.kill_tree(self._driver.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._driver.wait(GONE_S)
            self._tidy()

    def _say(self, **message: Any) -> None:
        assert self._driver is not None and self._driver.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # its end is seen by who reads
            self._driver.stdin.write(json.dumps(message) + "\n")
            self._driver.stdin.flush()

    def _hear(self, listen: Callable[[str], int], secret: bytes, fail: Callable[[str], None]) -> None:
        """What the driver says, in a thread."""
        assert self._driver is not None and self._driver.stdout is not None
        why = "pool=ray: Ray's driver ended"
        try:
            while line := self._driver.stdout.readline(LINE):
                said = json.loads(line)
                if "host" in said:
                    self._say(host=said["host"], port=listen(said["host"]), secret=secret.hex())
                elif "error" in said:
                    why = str(said["error"])
                    break
                elif "placed" in said:
                    log.info("Ray %s: an agent on each of %d nodes", said["ray"], said["placed"])
        except (OSError, ValueError, KeyError) as error:
            why = f"pool=ray: its driver: {error}"
        fail(why)

    def _tidy(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
