"""The page of the shop and its HTTP server."""

import os
import signal
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shop.catalog import GOODS, price


def page() -> str:
    """Returns the list of goods as HTML."""
    rows = "\n".join(f"<li>{escape(good.name)}: {price(good.cents)}</li>" for good in GOODS)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>The shop</title>\n'
        f"<h1>The shop</h1>\n<ul>\n{rows}\n</ul>\n</html>\n"
    )


def response_for(path: str) -> tuple[HTTPStatus, str, str]:
    """Returns the status, content type, and body for a path."""
    match path:
        case "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", page()
        case "/health":
            return HTTPStatus.OK, "text/plain; charset=utf-8", "ok\n"
        case _:
            return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "no such page\n"


class Handler(BaseHTTPRequestHandler):
    """Sends the response for a path."""

    def do_GET(self) -> None:
        status, content_type, text = response_for(self.path)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def stop(_signal: int, _frame: object) -> None:
    """Exits. Without a handler, SIGTERM has no effect on the first process of a container."""
    raise SystemExit(0)


def main() -> None:
    """Serves the shop on the port in `PORT` until SIGTERM."""
    signal.signal(signal.SIGTERM, stop)
    port = int(os.environ.get("PORT", "8000"))
    with ThreadingHTTPServer(("", port), Handler) as server:
        print(f"the shop is open on port {port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
