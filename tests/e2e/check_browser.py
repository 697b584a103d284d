#!/usr/bin/python3
"""A page in a real browser calls the gateway, which is of another origin: Connect in JSON, gRPC-Web as a stream."""
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import tap
from whole_mesh import Mesh

PAGE = """<!doctype html><script>
const { gateway, token } = CONFIG
const bearer = { authorization: 'Bearer ' + token }

const connect = (method, message) => fetch(gateway + '/oms.order.v1.OrderService/' + method, {
  method: 'POST', headers: { ...bearer, 'content-type': 'application/json', 'connect-protocol-version': '1' },
  body: JSON.stringify(message) })

async function place () {
  const reply = await connect('PlaceOrder', { requestId: crypto.randomUUID(), currencyCode: 'EUR',
    paymentToken: 'tok_ok', lines: [{ sku: 'MUG-S', quantity: '1' }] })
  return (await reply.json()).order.orderId
}

// Frames of gRPC-Web as they come, until the trailers.
async function watch (orderId) {
  const id = new TextEncoder().encode(orderId)
  const body = new Uint8Array([0, 0, 0, 0, id.length + 2, 10, id.length, ...id])
  const reply = await fetch(gateway + '/oms.order.v1.OrderService/WatchOrder', { method: 'POST', body,
    headers: { ...bearer, 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1', 'grpc-timeout': '1S' } })
  const reader = reply.body.getReader()
  let bytes = [], messages = 0
  for (;;) {
    while (bytes.length >= 5) {
      const n = bytes[1] << 24 | bytes[2] << 16 | bytes[3] << 8 | bytes[4]
      if (bytes.length < 5 + n) break
      if (bytes[0] === 128) return { messages, trailers: String.fromCharCode(...bytes.slice(5, 5 + n)) }
      messages++
      bytes = bytes.slice(5 + n)
    }
    const { done, value } = await reader.read()
    if (done) throw new Error('the stream has no trailers')
    bytes.push(...value)
  }
}

async function all () {
  const refused = await connect('GetOrder', { orderID: 'x' })
  const orderId = await place()
  return { orderId, watched: await watch(orderId), status: refused.status, error: await refused.json() }
}

all().catch(e => ({ failed: String(e) }))
  .then(result => fetch('/result', { method: 'POST', body: JSON.stringify(result) }))
</script>"""


class Site(http.server.ThreadingHTTPServer):
    """Serves the page, and takes what it found out."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page, self.results = b"", queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self, body):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self._answer(self.server.page)

    def do_POST(self):
        self.server.results.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(b"")

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def visit(site, host):
    """What the page says when it is opened under that host."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={profile}", f"http://{host}:{site.server_port}/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            return site.results.get(timeout=60)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


def main():
    if not shutil.which("chromium"):
        print("1..0 # SKIP there is no chromium")
        return True
    site, mesh = Site(), Mesh()
    mesh.env["OMS_CORS_ORIGINS"] = f"http://127.0.0.1:{site.server_port}"
    with mesh:
        mesh.load_goods()
        config = {"gateway": f"http://{mesh.address}", "token": mesh.token("wanda", "customer")}
        site.page = PAGE.replace("CONFIG", json.dumps(config)).encode()

        def a_page_that_may_call_orders_and_watches():
            found = visit(site, "127.0.0.1")
            assert found.get("orderId", "").startswith("ord_"), found
            assert found["watched"]["messages"] >= 1, found
            assert "grpc-status: 4" in found["watched"]["trailers"], found
            assert found["status"] == 400 and found["error"]["code"] == "invalid_argument", found
            assert "orderID" in found["error"]["message"], found

        def a_page_of_another_origin_may_not():
            assert "Failed to fetch" in visit(site, "localhost").get("failed", "")

        return tap.run([a_page_that_may_call_orders_and_watches, a_page_of_another_origin_may_not])


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
