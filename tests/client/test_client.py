"""The client against servers of a few lines, which answer as they are told: what it measures, what it says of what goes
wrong, and that nothing of its own goes wrong unseen."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile
from websockets.asyncio.server import ServerConnection, serve

from capsexp.client import request as request_module
from capsexp.client import soak
from capsexp.client.app import write_run
from capsexp.client.load import Outcome, run
from capsexp.client.reasons import why
from capsexp.client.request import OPEN, ConnectionOptions, Request
from capsexp.config import Config, LoadConfig
from capsexp.errors import HarnessError
from capsexp.samples import Sample, SampleSet
from capsexp.targets import capswriter as target_module
from tests.support import PATIENCE, noise
from tests.support.answering import made, result, task_of

Handler = Callable[[ServerConnection], Awaitable[None]]
LOAD = LoadConfig(timeout=PATIENCE)


async def answer(connection: ServerConnection) -> None:
    await connection.send(result(await task_of(connection)))
    await connection.wait_closed()


def against(handler: Handler, made: list[Request], load: LoadConfig = LOAD, **options: Any) -> Outcome:
    """Perform requests at a server that treats every connection so."""

    async def main() -> Outcome:
        async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
            port = server.sockets[0].getsockname()[1]
            return await run(made, f"ws://127.0.0.1:{port}", load)

    return asyncio.run(main())


@contextlib.contextmanager
def own_bug(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def broken(*_: object) -> str:
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(target_module, "encode_audio_utf8", broken)
        yield


def test_a_bug_of_the_client_is_no_failure_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with own_bug(monkeypatch), pytest.raises(KeyError, match="a bug"):
        against(answer, made(3))
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("where", ["encode_audio_utf8", "decode_result"])
def test_a_bug_of_the_client_ends_hours_of_load(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def broken(*_: object) -> str:
        raise KeyError("a bug")

    monkeypatch.setattr(target_module, where, broken)

    async def save(record: soak.Record) -> None:
        pass

    async def main() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            cycles = soak.cycles([Sample("a", noise(0.1, 0), "")], LOAD, 1)
            await soak.run(cycles, 2, 3600, url, LOAD, soak.Record(100), save, 3600)

    with pytest.raises(KeyError, match="a bug"):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_what_cannot_be_saved_ends_hours_of_load() -> None:
    async def save(record: soak.Record) -> None:
        raise OSError("no space")

    async def main() -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            cycles = soak.cycles([Sample("a", noise(0.1, 0), "")], LOAD, 1)
            await soak.run(cycles, 2, 3600, url, LOAD, soak.Record(100), save, 0.05)

    with pytest.raises(OSError, match="no space"):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


BUG = """
import sys
from capsexp.targets import capswriter
def broken(*_):
    raise KeyError("a bug of ours")
capswriter.encode_audio_utf8 = broken
from capsexp.client.app import main
from capsexp.tool import entry
sys.exit(entry(main, "capsexp.client"))
"""


def test_a_bug_of_the_client_is_one_line_and_a_traceback_in_the_debug_log(tmp_path: Path, audio_dir: Path) -> None:
    async def main() -> tuple[int, str]:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-c", BUG, "samples=dir", f"samples.dir={audio_dir}", "server=external",
                f"server.url={url}", "--run-dir", str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(client.communicate(), PATIENCE)
            return client.returncode or 0, out.decode()

    code, said = asyncio.run(main())
    assert code == 1
    (line,) = said.splitlines()
    assert "a fault of capsexp: KeyError: 'a bug of ours'" in line and "debug.log" in line
    log = (tmp_path / "debug.log").read_text()
    assert "Traceback" in log and "in broken" in log
    assert not (tmp_path / "client.json").exists()  # nothing that could be taken for results


def test_a_place_is_free_as_soon_as_the_final_result_is_there() -> None:
    """The server is slow to close, and half a second is spent on each connection afterwards: that is nobody's."""
    open_now, most_open = 0, 0

    async def slow_to_close(connection: ServerConnection) -> None:
        nonlocal open_now, most_open
        open_now += 1
        most_open = max(most_open, open_now)
        await connection.send(result(await task_of(connection)))
        connection.transport.pause_reading()  # the client's close is not seen
        await asyncio.sleep(0.5)
        connection.transport.resume_reading()
        open_now -= 1

    outcome = against(slow_to_close, made(8), LoadConfig(concurrency=1, timeout=PATIENCE))
    assert all(r.ok and r.finals == 1 for r in outcome.requests)
    starts = sorted((r.start, r.final) for r in outcome.requests)
    for (_, final), (start, _) in pairwise(starts):
        assert start is not None and final is not None and start > final  # one at a time all the same
    assert outcome.start is not None and outcome.end is not None
    assert outcome.end - outcome.start < 8 * 0.5 / 2
    assert most_open > 1


def test_connections_that_are_being_closed_have_a_bound_too() -> None:
    open_now, most_open = 0, 0

    async def slow_to_close(connection: ServerConnection) -> None:
        nonlocal open_now, most_open
        open_now += 1
        most_open = max(most_open, open_now)
        await connection.send(result(await task_of(connection)))
        connection.transport.pause_reading()
        await asyncio.sleep(0.1)
        open_now -= 1
        connection.transport.resume_reading()

    async def main() -> Outcome:
        async with serve(slow_to_close, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await run(made(12), url, LoadConfig(concurrency=2, timeout=PATIENCE), room=3)

    assert all(r.ok for r in asyncio.run(main()).requests)
    assert most_open <= 3


@pytest.mark.parametrize("late", [0.0, 0.03])
def test_a_second_final_result_is_seen_though_nobody_waits_for_it(late: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module, "WATCH_S", PATIENCE)

    async def twice(connection: ServerConnection) -> None:
        task = await task_of(connection)
        await connection.send(result(task))
        await asyncio.sleep(late)
        await connection.send(result("another"))
        await connection.send(result(task))
        await connection.close()

    outcome = against(twice, made(5), LoadConfig(concurrency=1, timeout=PATIENCE))
    assert [(r.ok, r.finals, r.foreign) for r in outcome.requests] == [(True, 2, 1)] * 5
    assert outcome.start is not None and outcome.end is not None


@pytest.mark.parametrize("there", ["http://127.0.0.1:9/login", "", "/elsewhere", "ws://127.0.0.1:9/"])
def test_a_server_that_sends_one_on_is_told_with_where_to(there: str) -> None:
    def on(connection: ServerConnection, request: object) -> Any:
        found = connection.respond(HTTPStatus.FOUND, "")
        if there:
            found.headers["Location"] = there
        return found

    (one,) = against(answer, made(1), process_request=on).requests
    assert one.error is not None and "redirects to" in one.error and "(302)" in one.error and there in one.error


def test_what_ends_the_sending_does_not_hide_what_was_received() -> None:
    async def refuses(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"task_id": "task-0", "error": "too much audio"}))
        await connection.close(1008, "go away")

    outcome = against(refuses, made(1, 20.0), LoadConfig(message_s=0.1, timeout=PATIENCE), close_timeout=0.2)
    assert outcome.requests[0].error == "the server answered: too much audio"


@pytest.mark.parametrize("closes", [True, False])
def test_an_answer_to_another_request_is_called_that(closes: bool) -> None:
    """And not a lost connection, or silence, which is only what came of it."""

    async def misdelivers(connection: ServerConnection) -> None:
        await task_of(connection)
        await connection.send(result("somebody-else"))
        await (connection.close(1000) if closes else connection.wait_closed())

    (one,) = against(misdelivers, made(1), LoadConfig(timeout=PATIENCE if closes else 0.5)).requests
    assert one.error is not None and (one.foreign, one.final) == (1, None)
    said = "the server sent 1 result under another task_id (somebody-else); then "
    assert said + ("the connection ended (code 1000)" if closes else "nothing more") in one.error


def refusing(status: int, body: bytes = b"no\n") -> dict[str, Any]:
    def refuse(connection: ServerConnection, request: object) -> Any:
        return connection.respond(HTTPStatus(status), body.decode())

    return {"process_request": refuse}


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "server.token"),
        (403, "token"),
        (503, "load.concurrency"),
        (500, "log"),
        (404, "check host, port and path"),
    ],
)
def test_a_handshake_that_is_refused_says_what_to_do(status: int, says: str) -> None:
    (one,) = against(answer, made(1), **refusing(status, b"\x1b[2Jhidden\n")).requests
    assert one.error is not None and f"({status})" in one.error and says in one.error
    assert one.error.isprintable()


def test_our_own_server_that_is_full_is_the_run_s_mistake() -> None:
    async def main() -> None:
        async with serve(answer, "127.0.0.1", 0, **refusing(503)) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await run(made(3), url, LOAD, way=ConnectionOptions(own=True))

    with pytest.raises(HarnessError, match=r"server\.max_connections"):
        asyncio.run(main())


def test_a_message_that_is_too_big_says_which_setting_makes_it_smaller() -> None:
    (one,) = against(answer, made(1, 20.0), max_size=100_000).requests
    assert one.error is not None and "1009" in one.error and "load.message_s" in one.error


def tried(url: str, way: ConnectionOptions = OPEN) -> str:
    (one,) = asyncio.run(run(made(1), url, LOAD, way=way)).requests
    assert one.error is not None and not one.ok
    assert "\n" not in one.error and "Error" not in one.error and "Invalid" not in one.error  # no name of ours
    return one.error


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws://127.0.0.1:1", "is the server running"),
        ("ws://localhost:1", "is the server running"),
        ("ws://127.0.0.1:99999", "server.url=ws://HOST:PORT"),
        ("ws://127.0.0.1:x", "server.url=ws://HOST:PORT"),
        ("ws://", "server.url=ws://HOST:PORT"),
        ("http://127.0.0.1:1", "server.url=ws://HOST:PORT"),
        ("localhost:6016", "server.url=ws://HOST:PORT"),
        ("", "server.url=ws://HOST:PORT"),
        ("ws://no-such-host.invalid:6016", "check server.url"),
    ],
)
def test_an_address_where_nobody_is(url: str, says: str) -> None:
    assert says in tried(url)


@contextlib.contextmanager
def talker(greeting: bytes) -> Iterator[int]:
    """A port where something speaks that is no WebSocket server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def talk() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(0.2)
                        with contextlib.suppress(OSError):
                            connection.recv(4096)
                        connection.sendall(greeting)

        thread = threading.Thread(target=talk, daemon=True)
        listener.settimeout(0.1)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()


@pytest.mark.parametrize("greeting", [b"", b"220 mail ready\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])
def test_what_answers_is_no_websocket_server(greeting: bytes) -> None:
    with talker(greeting) as port:
        assert "server.url" in tried(f"ws://127.0.0.1:{port}")
        assert "ws:// instead of wss://" in tried(f"wss://127.0.0.1:{port}")


def test_what_the_client_runs_out_of_is_no_failure_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    with pytest.raises(HarnessError, match="ulimit -n"):
        why(OSError(errno.EMFILE, "Too many open files"), "ws://h:1", 60.0)


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from capsexp.client.connection_limit import limit_connections
there = limit_connections({wanted}, {admitted})
print(there.requests, there.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(there.warning or "")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "admitted", "fits"),
    [
        (256, 1024, 300, None, True), (256, 256, 300, None, False), (1024, 1024, 300, 200, False),
        (1024, 1024, 4, 4, True), (256, 4096, 3000, 4096, True), (256, 8192, 5000, 4096, False),
    ],
)  # fmt: skip
def test_a_load_fits_into_the_limits_or_is_made_to_and_it_is_said(
    soft: int, hard: int, wanted: int, admitted: int | None, fits: bool
) -> None:
    code = FEW_FILES.format(soft=soft, hard=hard, wanted=wanted, admitted=admitted)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    figures, warning = done.stdout.splitlines()
    requests, connections, limit = map(int, figures.split())
    assert requests <= connections < limit <= hard
    assert connections <= (admitted or hard)
    assert (requests == wanted) == (warning == "") == fits
    if not fits:
        assert f"{requests} at once instead" in warning
        assert ("ulimit -n" if admitted is None else "server.max_connections") in warning


def test_more_requests_than_files_may_be_open_all_succeed(tmp_path: Path) -> None:
    """The client's own limits bound what it has open, and nothing is lost for it."""
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", noise(0.1, number), 16_000)

    async def main() -> tuple[int, str, str]:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            line = (
                f"ulimit -n 120; exec {sys.executable} -m capsexp.client --url {url} --dir {tmp_path} load.repeats=60"
            )
            client = await asyncio.create_subprocess_shell(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out, err = await asyncio.wait_for(client.communicate(), PATIENCE)
            return client.returncode or 0, out.decode(), err.decode()

    code, out, err = asyncio.run(main())
    assert code == 0, err
    assert "180 requests, " in out and "FAILED" not in out
    assert "at once instead" in err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_client_that_is_stopped_says_what_was_done(audio_dir: Path, signum: int) -> None:
    async def two_only(connection: ServerConnection) -> None:
        nonlocal answered
        task = await task_of(connection)
        if answered < 2:
            answered += 1
            await connection.send(result(task))
        await connection.wait_closed()

    answered = 0

    async def main() -> tuple[int, str, str]:
        async with serve(two_only, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "capsexp.client", "--url", url, "--dir", str(audio_dir), "load.concurrency=1",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            until = time.monotonic() + PATIENCE
            while answered < 2 and time.monotonic() < until:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            client.send_signal(signum)
            out, err = await asyncio.wait_for(client.communicate(), PATIENCE)
            return client.returncode or 0, out.decode(), err.decode()

    code, out, err = asyncio.run(main())
    assert code == 130
    assert out.count(" a b") == 2 and "FAILED" not in out  # what was there is shown
    (line,) = err.splitlines()
    assert "interrupted after" in line and "2 of 4 requests were finished" in line


def test_a_transcript_that_the_terminal_cannot_show_is_no_traceback(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "录音.wav", noise(0.1, 1), 16_000)

    async def chinese(connection: ServerConnection) -> None:
        task = await task_of(connection)
        await connection.send(json.dumps({**json.loads(result(task)), "text": "你好\x1b[2J"}))
        await connection.wait_closed()

    async def main() -> tuple[int, str, str]:
        async with serve(chinese, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "capsexp.client", "--url", url, "--dir", str(tmp_path), stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "latin-1"},
            )  # fmt: skip
            out, err = await asyncio.wait_for(client.communicate(), PATIENCE)
            return client.returncode or 0, out.decode("latin-1"), err.decode("latin-1")

    code, out, err = asyncio.run(main())
    assert (code, err) == (0, "")
    assert "\\u4f60\\u597d" in out and "\x1b" not in out


def test_what_was_given_up_for_the_time_is_named_as_that(tmp_path: Path) -> None:
    async def never(connection: ServerConnection) -> None:
        await connection.wait_closed()

    outcome = against(never, made(3), LoadConfig(timeout=0.3))
    write_run(tmp_path, 0.0, outcome, SampleSet([], []), Config())
    (warning,) = json.loads((tmp_path / "client.json").read_text())["warnings"]
    assert warning.startswith("3 of 3 requests were not finished within load.timeout = 0.3 s: raise load.timeout")
