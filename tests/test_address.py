"""Addresses of servers: what is one, and what is said of one that is none."""

import re
from urllib.parse import urlsplit

import pytest

from capsexp.address import TRANSPORTS, address, is_address, is_secure, no_address, port_in


@pytest.mark.parametrize("url", ["ws://", "127.0.0.1:6016", "ws://:6016\n", "ws://h:0", "ws://[::1"])
def test_what_is_said_of_an_address_that_is_none_names_it_and_a_whole_one(url: str) -> None:
    said = no_address(url)
    assert said.startswith(f"{url!r} is not the address")
    assert "\n" not in said
    example = re.search(r"ws://\d\S*\d", said)
    assert example is not None
    assert (urlsplit(example[0]).scheme, urlsplit(example[0]).port) == ("ws", 6016)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "asr.example"])
@pytest.mark.parametrize("secure", [False, True])
def test_an_address_that_is_made_is_one(transport: str, host: str, secure: bool) -> None:
    url = address(transport, host, 6016, secure)
    assert is_address(url, transport) and port_in(url) == 6016 and urlsplit(url).hostname == host
    assert is_secure(url) == (secure and transport != "tcp")
    assert [name for name in TRANSPORTS if is_address(url, name)] == [transport]


@pytest.mark.parametrize(
    ("url", "port"),
    [("ws://h", 80), ("wss://h/x", 443), ("http://h", 80), ("https://h?a=b", 443), ("tcp://h", None), ("h:1", None)],
)
def test_a_port_that_is_not_said(url: str, port: int | None) -> None:
    if port is not None:
        assert port_in(url) == port
        return
    assert not any(is_address(url, name) for name in TRANSPORTS)


def test_each_kind_of_server_has_its_own_form() -> None:
    assert "address of a HTTP" not in no_address("x", "http")
    assert no_address("ws://127.0.0.1:80", "http").endswith("did you mean server.url=http://127.0.0.1:80?")
    assert "TLS" not in no_address("x", "tcp") and "server.url=tcp://HOST:PORT" in no_address("x", "tcp")
