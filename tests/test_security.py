"""Who gets in, and what is kept of a secret."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from bench import Bench
from test_server import LOAD, requests, right, server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from capsexp.client.load import run
from capsexp.client.request import Request, Way
from capsexp.compose import compose
from capsexp.config import to_dict
from capsexp.errors import ConfigError


def perform(url: str, way: Way) -> list[Request]:
    made = requests(3, 0.5)
    asyncio.run(run(made, url, LOAD, way=way))
    return made


def test_a_token_is_asked_for_and_compared() -> None:
    with server("workers=1", "server.token=geheim") as (url, _):
        assert all(right(perform(url, Way("geheim"))))
        assert all(right(perform(f"{url}/?token=geheim", Way())))
        for wrong in (Way(), Way("geheim2"), Way("gehei")):
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_tls(certificate: Path) -> None:
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    with server("workers=1", f"server.certfile={cert}", f"server.keyfile={key}") as (url, _):
        assert url.startswith("wss://")
        assert all(right(perform(url, Way(certfile=cert))))
        assert all(r.error and "certificate" in r.error.lower() for r in perform(url, Way()))


def test_a_sweep_over_tls_with_a_token_that_is_not_kept(bench: Bench, certificate: Path) -> None:
    given = [f"server.certfile={certificate / 'cert.pem'}", f"server.keyfile={certificate / 'key.pem'}"]
    assert bench.run("server.token=${oc.env:CAPSEXP_TEST_MARK}", *given) == 0
    assert bench.configuration("workers=1")["correctness"]["ratio"] == 1.0
    kept = [path for path in bench.out.rglob("*") if path.is_file() and bench.mark.encode() in path.read_bytes()]
    assert not kept


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["server.host=0.0.0.0"], r"server\.host=0\.0\.0\.0: others can reach it; set server\.token"),
        (["server.host=example.org"], "others can reach it"),
        (["server.token=''"], r"server\.token: is empty"),
        (["server.keyfile=x"], r"server\.keyfile: needs server\.certfile"),
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
