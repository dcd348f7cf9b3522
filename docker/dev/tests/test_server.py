"""Tests of the server over a real socket."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from shop.catalog import GOODS
from shop.server import Handler


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server that runs until the test ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_page_lists_every_good(address: str) -> None:
    with urllib.request.urlopen(f"{address}/") as response:
        page = response.read().decode()
    assert all(good.name in page for good in GOODS)


def test_the_server_reports_that_it_is_healthy(address: str) -> None:
    with urllib.request.urlopen(f"{address}/health") as response:
        assert response.read() == b"ok\n"


def test_an_unknown_path_is_not_found(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{address}/nothing")
    assert raised.value.code == 404
