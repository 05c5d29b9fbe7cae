"""HTTP/1.1: a POST. The frames are its body; what comes back is the answer's body, and its end the status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import h11

from capsexp.client.transports.base import ConnectionOptions, Ended, Garbled, Redirected, as_bytes
from capsexp.client.transports.tcp import READ, Reader, stream
from capsexp.targets.base import Frame


class Http:
    """`headers`: of every request."""

    def __init__(self, reader: Reader, writer: asyncio.StreamWriter, url: str, headers: Mapping[str, str]) -> None:
        self._reader, self._writer = reader, writer
        self._state, self._url, self._headers = h11.Connection(h11.CLIENT), url, headers

    def begin(self, head: Mapping[str, str]) -> None:
        self._status = (0, "")
        self._sized = True  # the answer says itself where it ends
        parts = urlsplit(self._url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"Host": parts.netloc.rpartition("@")[2], **self._headers, **head}
        request = h11.Request(method="POST", target=path, headers=list(fields.items()))
        self._first = self._state.send(request) or b""  # goes with the first frame

    def again(self, head: Mapping[str, str]) -> bool:
        if {self._state.our_state, self._state.their_state} != {h11.DONE} or self._reader.at_eof():
            return False
        self._state.start_next_cycle()
        self.begin(head)
        return True

    async def send(self, frame: Frame) -> None:
        data: Any = as_bytes(frame)
        await self._write(h11.Data(data=data))

    async def finish(self) -> None:
        await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        parts = self._state.send_with_data_passthrough(event) or []
        if self._first:
            parts, self._first = [b"".join((self._first, *parts))], b""
        for part in parts:
            self._writer.write(part)
        await self._writer.drain()

    async def receive(self) -> bytes:
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                begun = self._status[0] or not self._state.trailing_data[0]  # of an answer, and not of anything else
                if not self._reader.at_eof() or not begun:
                    raise Garbled(str(error)) from error
                self._broken_off(error)
            if event is h11.NEED_DATA:
                self._state.receive_data(await self._reader.read(READ))
            elif isinstance(event, h11.Response):
                self._status = event.status_code, event.reason.decode("latin-1")
                if 300 <= event.status_code < 400:
                    there = dict(event.headers).get(b"location", b"").decode("utf-8", "replace")
                    raise Redirected(event.status_code, there)
                self._sized = any(name in (b"content-length", b"transfer-encoding") for name, _ in event.headers)
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            elif not isinstance(event, h11.InformationalResponse):  # its end, or of all
                if not self._sized and self._reader.broken is not None:  # only an end in order is one
                    self._broken_off(self._reader.broken)
                raise Ended(*self._status)

    def _broken_off(self, error: Exception) -> NoReturn:
        """In the middle of an answer. Half an error says what it is; half a text is none."""
        if self._status[0] >= 400:
            raise Ended(*self._status) from error
        how = "before its answer was whole" if self._status[0] else "without an answer: is it an HTTP server?"
        raise self._reader.broken or ConnectionResetError(f"it closed {how}") from error


@asynccontextmanager
async def opened(url: str, way: ConnectionOptions, head: Mapping[str, str], keep: bool) -> AsyncIterator[Http]:
    async with stream(url, way) as (reader, writer):
        http = Http(reader, writer, url, way.headers if keep else {"Connection": "close", **way.headers})
        http.begin(head)
        yield http
