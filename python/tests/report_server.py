"""What the server of a live report answers, and what it refuses."""

import http.client
import json
from urllib.parse import urlparse


def answer(url, hosts, method="GET", path="/"):
    """Status, text and headers of the answer to a request with the given Host headers."""
    at = urlparse(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for host in hosts:
        connection.putheader("Host", host)
    connection.endheaders()
    response = connection.getresponse()
    text = response.read().decode()
    return response.status, text, dict(response.getheaders())


def check_server(url):
    own, port = urlparse(url).netloc, urlparse(url).port
    status, text, headers = answer(url, [own])
    assert status == 200 and "<main" in text
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    # A tunnel to this machine has a port of its own.
    for host in (f"LocalHost:{port}", "127.0.0.1", f"localhost:{port + 1}"):
        assert answer(url, [host])[0] == 200, host
    foreign = [
        ["evil.example"],
        [f"evil.example:{port}"],
        ["localhost:evil"],
        [f"evil.example:{port}:80"],
        [f"127.0.0.1:{port}.evil.example"],
        [""],
        [own, own],
        [],
    ]
    for hosts in foreign:
        status, text, _ = answer(url, hosts, path="/update")
        assert status == 421 and "parts" not in text, (hosts, status)
    assert answer(url, [own], method="POST")[0] == 405
    for path in ("/../run.db", "/run.db", "/%2e%2e/run.db", "//update", "/index.html"):
        assert answer(url, [own], path=path)[0] == 404, path
    status, text, _ = answer(url, [own], path="/update?have=summary:0,,:,x")
    assert status == 200 and "summary" in json.loads(text)["parts"]
