"""Who gets in, and what is kept of a secret."""

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from capsexp.client.load import run
from capsexp.client.request import ConnectionOptions, Request
from capsexp.compose import compose
from capsexp.config import to_dict
from capsexp.errors import ConfigError
from capsexp.protocol import AudioMessage, encode_audio
from tests.support import noise
from tests.support.bench import Bench
from tests.support.servers import LOAD, expected, requests, right, server

pytestmark = pytest.mark.slow  # real processes


def perform(url: str, way: ConnectionOptions) -> list[Request]:
    made = requests(3, 0.5)
    asyncio.run(run(made, url, LOAD, way=way))
    return made


def test_a_token_is_asked_for_and_compared() -> None:
    with server("workers=1", "server.token=geheim") as (url, _):
        assert all(right(perform(url, ConnectionOptions("geheim"))))
        assert all(right(perform(f"{url}/?token=geheim", ConnectionOptions())))
        for wrong in (ConnectionOptions(), ConnectionOptions("geheim2"), ConnectionOptions("gehei")):
            (error, _) = [r.error for r in perform(url, wrong)]
            assert error is not None
            assert "refused the connection (401)" in error
            assert "server.token" in error


def test_no_web_page_gets_in() -> None:
    async def visit(url: str) -> None:
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(url, origin="https://example.org"):  # type: ignore[arg-type]
                pass

    with server("workers=1") as (url, _):
        asyncio.run(visit(url))


def test_no_more_connections_than_allowed_and_room_again_afterwards() -> None:
    async def crowd(url: str) -> None:
        async with connect(url), connect(url):
            with pytest.raises(InvalidStatus, match="503"):
                async with connect(url):
                    pass
        for _ in range(100):  # the server notices a moment later
            try:
                async with connect(url):
                    return
            except InvalidStatus:
                await asyncio.sleep(0.05)
        raise AssertionError("no room again")

    with server("workers=1", "server.max_connections=2") as (url, _):
        asyncio.run(crowd(url))


def test_tls(certificate: Path) -> None:
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    with server("workers=1", f"server.certfile={cert}", f"server.keyfile={key}") as (url, _):
        assert url.startswith("wss://")
        assert all(right(perform(url, ConnectionOptions(certfile=cert))))
        assert all(r.error and "certificate" in r.error.lower() for r in perform(url, ConnectionOptions()))


@pytest.mark.parametrize("spelled", ["${oc.env:CAPSEXP_TEST_MARK}", "itself"])
def test_a_sweep_over_tls_with_a_token_that_is_not_kept(bench: Bench, certificate: Path, spelled: str) -> None:
    token = spelled.replace("itself", bench.mark)
    given = [f"server.certfile={certificate / 'cert.pem'}", f"server.keyfile={certificate / 'key.pem'}"]
    process = bench.start(f"server.token={token}", *given)
    seen = set()  # not even while it runs, as a runner that is killed leaves what there is then
    while process.poll() is None:
        for path in bench.out.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and bench.mark.encode() in path.read_bytes():
                    seen.add(path)
        time.sleep(0.02)
    assert bench.finish(process) == 0, bench.stderr
    assert not seen
    assert bench.configuration("workers=1")["metrics"]["correctness"]["value"] == 1.0
    kept = [path for path in bench.out.rglob("*") if path.is_file() and bench.mark.encode() in path.read_bytes()]
    assert not kept


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["server.host=0.0.0.0"], r"server\.host=0\.0\.0\.0: others can reach it; set server\.token"),
        (["server.host=example.org"], "others can reach it"),
        (["server.token=''"], r"server\.token: is empty"),
        (["server.keyfile=x"], r"server\.keyfile: needs the certificate, too"),
        (["server.max_connections=0"], r"server\.max_connections"),
    ],
)
def test_a_server_that_anybody_could_use_is_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compose(overrides)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback_needs_no_token(host: str) -> None:
    assert compose([f"server.host='{host}'"]).server.host == host
    assert compose(["server.host=0.0.0.0", "server.allow_anonymous=true"]).server.allow_anonymous
    assert to_dict(compose(["server.host=0.0.0.0", "server.token=x"]))["server"]["token"] is None


def test_logs_hold_no_audio_and_no_text(bench: Bench) -> None:
    """Also of what fails: a segment that kills its workers, and messages that are none."""
    poison = expected(noise(3, 9)).split()[0]
    secret = "the audio of a message that is none"
    with server("workers=1", f"engine.crash_on='{poison}'", "server.max_retries=0") as (url, process):
        made = [*requests(3, 6), Request(9, "bad", "bad", noise(3, 9))]

        async def talk() -> None:
            async with connect(url) as socket:
                for frame in (secret, json.dumps({"task_id": "x\nERROR", "data": secret, "is_final": secret})):
                    await socket.send(frame)
                    assert "error" in json.loads(await socket.recv())

        asyncio.run(talk())
        asyncio.run(run(made, url, LOAD))
        assert [r.ok for r in made] == [True, True, False]
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        log = process.stdout.read()
    assert "task bad" in log  # it does say what happened
    assert "malformed message" in log
    texts = [expected(noise(s, n)).split()[1] for n, s in enumerate((3, 6))]
    sent = [encode_audio(AudioMessage("a", noise(1, n), True))[-200:-150] for n in (0, 1, 9)]
    assert not [found for found in (*texts, *sent, poison, secret, "ERROR\n") if found in log]
    # And those of a run.
    assert bench.run("load.repeats=2") == 0, bench.stderr
    logs = [path.read_text() for path in bench.out.rglob("*.log")]
    words = (bench.out / "0-workers=1" / "transcripts" / "n3.wav.txt").read_text().split()
    assert len(logs) >= 4
    assert words
    assert not [word for word in words for log in logs if word in log]
