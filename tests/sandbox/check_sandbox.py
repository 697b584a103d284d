#!/usr/bin/python3
"""Both companies as processes: every behaviour over the wire, and kill -9 in the midst of it."""
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import tap

BUILD = pathlib.Path(os.environ.get("OMS_BUILD_DIR", pathlib.Path(__file__).resolve().parent.parent.parent / "build"))


class Company:
    """A process with a book; use as a context manager."""

    def __init__(self, name, *args, book=None):
        self.command = [BUILD / "dev" / "sandbox" / f"sandbox-{name}", *args]
        self.dir = tempfile.TemporaryDirectory(prefix="sandbox-")
        self.book_path = pathlib.Path(book or f"{self.dir.name}/book")
        self.port = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self.dir.cleanup()

    def start(self):
        self.process = subprocess.Popen([*self.command, "--listen", f"127.0.0.1:{self.port}", "--book", self.book_path],
                                        stderr=subprocess.PIPE, text=True)
        said = json.loads(self.process.stderr.readline())
        assert said["event"] == "listening", said
        self.port = said["port"]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def end(self):
        """Asks it to end; its exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=10)
        self.process.stderr.close()
        return code

    def ask(self, verb, path, body=None, key=None, timeout=30):
        """Status and parsed body; None if the connection ended without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(verb, path, json.dumps(body) if isinstance(body, dict) else body,
                               {"Idempotency-Key": key} if key else {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return None
        finally:
            connection.close()

    def book(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/v1/book")
        response = connection.getresponse()
        assert response.status == 200
        lines = [json.loads(line) for line in response.read().splitlines()]
        connection.close()
        return lines


def authorization(token="tok_ok", amount=500):
    return {"amount_minor": amount, "currency": "GBP", "token": token, "reference": "ord_1"}


def authorize(processor, key, token="tok_ok", amount=500, **more):
    return processor.ask("POST", "/v1/authorizations", authorization(token, amount), key, **more)


def capture(processor, key, on, amount=500):
    return processor.ask("POST", "/v1/captures", {"authorization": on, "amount_minor": amount, "currency": "GBP"}, key)


def refund(processor, key, on, amount=500):
    return processor.ask("POST", "/v1/refunds", {"authorization": on, "amount_minor": amount, "currency": "GBP"}, key)


def shipment(city="York", weight=100):
    return {"reference": "ord_1", "from": "ber", "weight_grams": weight, "to": {
        "name": "Canary Bird", "street": ["Perch 1"], "city": city, "postal_code": "CB1", "country": "GB"}}


def ship(carrier, key, city="York", weight=100):
    return carrier.ask("POST", "/v1/shipments", shipment(city, weight), key)


def ended(answer, status, reason=None):
    code, body = answer
    assert code == 200 and body["status"] == status and body.get("reason") == reason, answer


def await_true(what, check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


# --- the processor ---

def cards_go_as_their_tokens_say():
    with Company("processor", "--latency", "1ms") as p:
        ended(authorize(p, "ok"), "succeeded")
        ended(authorize(p, "other", "tok_4242"), "succeeded")
        ended(authorize(p, "declined", "tok_declined"), "declined", "CARD_DECLINED")
        ended(authorize(p, "poor", "tok_poor"), "declined", "INSUFFICIENT_FUNDS")
        assert authorize(p, "number", "4242424242424242")[1]["error"] == "TOKEN_UNKNOWN"
        ended(authorize(p, "never", "tok_3ds_never"), "requires_action")
        for token, status, reason in (("tok_3ds", "succeeded", None), ("tok_3ds_fails", "declined", "AUTHENTICATION_FAILED")):
            code, body = authorize(p, token, token)
            assert code == 200 and body["status"] == "requires_action" and body["action_url"].startswith("http://"), body
            await_true("the customer has acted", lambda: p.ask("GET", f"/v1/operations/{token}")[1]["status"] == status)
            ended(p.ask("GET", f"/v1/operations/{token}"), status, reason)
        for _ in range(2):
            assert authorize(p, "error", "tok_error")[0] == 503
        ended(authorize(p, "error", "tok_error"), "succeeded")
        for _ in range(3):
            assert authorize(p, "silent", "tok_silent") is None
        ended(authorize(p, "silent", "tok_silent"), "succeeded")
        assert p.ask("GET", "/v1/operations/nothing")[1] == {"error": "UNKNOWN_OPERATION", "message": "nothing was done under this key"}
        assert [l["key"] for l in p.book()].count("silent") == 1


def money_moves_once_and_within_bounds():
    with Company("processor", "--latency", "1ms") as p:
        ended(authorize(p, "a"), "succeeded")
        first = capture(p, "c", "a", 300)
        ended(first, "succeeded")
        assert capture(p, "c", "a", 300) == first
        assert capture(p, "c", "a", 301) == (409, {"error": "KEY_REUSED", "message": "another request was made under this key"})
        assert capture(p, "d", "a", 201)[1]["error"] == "CAPTURE_EXCEEDS_AUTHORIZATION"
        ended(refund(p, "r", "a", 300), "succeeded")
        assert refund(p, "s", "a", 1)[1]["error"] == "REFUND_EXCEEDS_CAPTURES"
        ended(p.ask("POST", "/v1/voids", {"authorization": "a"}, "v"), "succeeded")
        ended(capture(p, "e", "a", 100), "declined", "VOIDED")
        ended(p.ask("POST", "/v1/voids", {"authorization": "later"}, "w"), "succeeded")
        ended(authorize(p, "later"), "declined", "VOIDED")
        ended(authorize(p, "cf", "tok_capture_fails"), "succeeded")
        ended(capture(p, "cfc", "cf"), "declined", "CAPTURE_REFUSED")
        ended(authorize(p, "rf", "tok_refund_fails"), "succeeded")
        ended(capture(p, "rfc", "rf"), "succeeded")
        ended(refund(p, "rfr", "rf"), "declined", "REFUND_REFUSED")
        kinds = [(l["kind"], l["status"]) for l in p.book()]
        assert kinds.count(("capture", "succeeded")) == 2 and kinds.count(("refund", "succeeded")) == 1, kinds


def who_takes_long_holds_nobody_up():
    """tok_slow, tok_late and tok_mute at once, and many quick ones meanwhile."""
    took, quick = {}, []

    def slow(p, token):
        begun = time.monotonic()
        ended(authorize(p, token, token), "succeeded")
        took[token] = time.monotonic() - begun

    def mute(p):
        begun, tries = time.monotonic(), 0
        while (answer := authorize(p, "tok_mute", "tok_mute")) is None:
            tries += 1
        ended(answer, "succeeded")
        took["tok_mute"] = time.monotonic() - begun
        assert tries == 1, "the connection is held until it would answer"

    with Company("processor", "--latency", "20ms") as p:
        threads = [threading.Thread(target=slow, args=(p, token)) for token in ("tok_slow", "tok_late")]
        threads.append(threading.Thread(target=mute, args=(p,)))
        for t in threads:
            t.start()
        await_true("the late one is done", lambda: p.ask("GET", "/v1/operations/tok_late")[0] == 200)
        assert p.ask("GET", "/v1/operations/tok_mute")[0] == 404
        n = 0
        while "tok_slow" not in took:
            begun = time.monotonic()
            ended(authorize(p, f"quick{n}"), "succeeded")
            quick.append(time.monotonic() - begun)
            n += 1
        for t in threads:
            t.join()
    assert min(quick) >= 0.02, "the latency is kept"
    assert sorted(quick)[len(quick) // 2] < 0.5 and n > 4, quick
    assert 2 <= took["tok_slow"] < 15 and 20 <= took["tok_late"] < 35 and 15 <= took["tok_mute"] < 30, took


# --- the carrier ---

def parcels_go_as_their_cities_say():
    with Company("carrier", "--latency", "0ms", "--speed", "400") as c:
        for _ in range(2):
            assert ship(c, "error", "Errorby")[0] == 503
            assert ship(c, "silent", "Silentham") is None
        code, body = ship(c, "refused", "Refusal")
        assert code == 400 and body["error"] == "ADDRESS_REFUSED", body
        wanted = {"error": "Errorby", "silent": "Silentham", "d": "Delayton", "l": "Lostwick", "r": "Returnham", "t": "Twiceford", "y": "York"}
        numbers = {}
        for key, city in wanted.items():
            code, body = ship(c, key, city)
            assert code == 200 and body["tracking_number"].startswith("SB") and body["promise_time_us"] > 0, body
            assert ship(c, key, city)[1] == body
            numbers[key] = body["tracking_number"]
            assert c.ask("POST", f"/v1/shipments/{key}/handover")[1] == {"status": "handed_over"}
        assert len(set(numbers.values())) == len(numbers)
        assert ship(c, "y", "Hull")[0] == 409
        await_true("all have come", lambda: len(c.ask("GET", "/v1/events?after=0&limit=1000")[1]["events"]) >= 17)
        events = c.ask("GET", "/v1/events?after=0&limit=1000")[1]["events"]
        assert [e["seq"] for e in events] == list(range(1, 18)), events
        assert all(e["tracking_number"] == numbers[e["key"]] for e in events)
        assert [e["time_us"] for e in events] == sorted(e["time_us"] for e in events)
        journeys = {key: [e["type"] for e in events if e["key"] == key] for key in wanted}
        usual = ["IN_TRANSIT", "DELIVERED"]
        assert journeys == {"error": usual, "silent": usual, "y": usual, "d": ["IN_TRANSIT", "DELAYED", "DELIVERED"],
                            "l": ["IN_TRANSIT", "LOST"], "r": ["IN_TRANSIT", "RETURNED"], "t": ["IN_TRANSIT"] * 2 + ["DELIVERED"] * 2}, journeys
        page = c.ask("GET", "/v1/events?after=3&limit=2")[1]["events"]
        assert page == events[3:5]


def cancelling_and_handing_over_exclude_each_other():
    with Company("carrier", "--latency", "0ms") as c:
        ship(c, "a")
        ship(c, "b")
        assert c.ask("DELETE", "/v1/shipments/a") == (200, {"status": "cancelled"})
        assert c.ask("POST", "/v1/shipments/a/handover")[1]["error"] == "CANCELLED"
        assert c.ask("POST", "/v1/shipments/b/handover") == (200, {"status": "handed_over"})
        assert c.ask("DELETE", "/v1/shipments/b")[1]["error"] == "HANDED_OVER"
        assert c.ask("POST", "/v1/shipments/c/handover")[0] == 404
        assert c.ask("DELETE", "/v1/shipments/c") == (200, {"status": "cancelled"})
        assert ship(c, "c")[1]["error"] == "CANCELLED"
        assert "Canary" not in c.book_path.read_text(encoding="utf-8")
        assert [(l["key"], l["kind"]) for l in c.book()][:4] == [("a", "shipment"), ("b", "shipment"), ("a", "cancel"), ("b", "handover")]


# --- processes ---

def raw(path, body, key):
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data


def answer_on(connection):
    """The body of the answer, or None if there is none that is whole."""
    data = b""
    try:
        while True:
            head, found, body = data.partition(b"\r\n\r\n")
            if found and (length := re.search(rb"(?i)content-length: (\d+)", head)) and len(body) >= int(length[1]):
                assert head.startswith(b"HTTP/1.1 200"), data
                return json.loads(body)
            more = connection.recv(4096)
            if not more:
                return None
            data += more
    except OSError:
        return None
    finally:
        connection.close()


def killed_in_the_midst(name, args, path, body, wait_for):
    """200 requests at once, killed while answers come; what was answered is in the book once and stays so."""
    answered, n = {}, 200
    with Company(name, *args) as company:
        for round_ in range(4):
            keys = [f"k{round_}-{i}" for i in range(n)]
            connections = []
            for key in keys:
                connection = socket.create_connection(("127.0.0.1", company.port), timeout=30)
                connection.sendall(raw(path, body, key))
                connections.append(connection)
            first = [answer_on(connections[i]) for i in range(wait_for[round_])]
            company.kill()
            got = first + [answer_on(c) for c in connections[len(first):]]
            answered |= {key: answer for key, answer in zip(keys, got) if answer}
            assert len([a for a in first if a]) == len(first)
            company.start()
            written = [l["key"] for l in company.book()]
            assert len(written) == len(set(written)), "something was done twice"
            assert set(answered) <= set(written), f"{len(set(answered) - set(written))} answered and forgotten"
            for key in keys:
                again = company.ask("POST", path, body, key)
                assert again[0] == 200 and answered.setdefault(key, again[1]) == again[1], (key, again)
        written = [l["key"] for l in company.book()]
        assert sorted(written) == sorted(answered) and len(answered) == 4 * n


def what_the_processor_has_answered_outlives_kill_9():
    killed_in_the_midst("processor", ("--latency", "5ms"), "/v1/authorizations", authorization(), (0, 1, 60, 150))


def what_the_carrier_has_answered_outlives_kill_9():
    killed_in_the_midst("carrier", ("--latency", "1ms"), "/v1/shipments", shipment(), (0, 1, 60, 150))


def a_torn_end_of_the_book_is_cut_off():
    with Company("processor", "--latency", "0ms") as p:
        authorize(p, "a")
        p.kill()
        with p.book_path.open("ab") as book:
            book.write(b'{"key":"b","kind":"authorize","authoriz')
        p.start()
        assert [l["key"] for l in p.book()] == ["a"]
        ended(authorize(p, "b"), "succeeded")
        assert [l["key"] for l in p.book()] == ["a", "b"]


def asked_to_end_it_answers_what_is_under_way_and_ends_well():
    got = []
    with Company("processor", "--latency", "10s") as p:
        t = threading.Thread(target=lambda: got.append(authorize(p, "a")))
        t.start()
        await_true("it is done", lambda: p.book_path.stat().st_size > 0)
        assert p.end() == 0
        t.join()
        ended(got[0], "succeeded")
        p.start()


def a_book_has_one_process():
    with Company("carrier") as c:
        second = subprocess.run([*c.command, "--listen", "127.0.0.1:0", "--book", c.book_path], capture_output=True, text=True)
        assert second.returncode == 1 and "another process has it" in second.stderr, second
        none = subprocess.run(c.command, capture_output=True, text=True)
        assert none.returncode == 1 and "--book" in none.stderr, none
        taken = subprocess.run([*c.command, "--listen", f"127.0.0.1:{c.port}", "--book", f"{c.dir.name}/other"], capture_output=True, text=True)
        assert taken.returncode == 1 and "cannot listen" in taken.stderr, taken


def what_is_too_long_or_no_request_is_refused():
    with Company("processor", "--latency", "0ms") as p:
        assert p.ask("POST", "/v1/voids", "x" * 65536, "k")[1]["error"] == "BODY_INVALID"
        assert p.ask("POST", "/v1/voids", "x" * 65537, "k")[1]["error"] == "BODY_TOO_LONG"
        assert p.ask("POST", "/v1/voids", "x" * 10000000, "k")[1]["error"] == "BODY_TOO_LONG"
        assert p.ask("PUT", "/v1/voids", "{}", "k")[0] == 404
        assert p.ask("GET", "/" + "x" * 5000)[0] == 404
        with socket.create_connection(("127.0.0.1", p.port)) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00nonsense\r\n\r\n")
            connection.recv(4096)
        ended(authorize(p, "a"), "succeeded")


if __name__ == "__main__":
    sys.exit(not tap.run([
        cards_go_as_their_tokens_say,
        money_moves_once_and_within_bounds,
        who_takes_long_holds_nobody_up,
        parcels_go_as_their_cities_say,
        cancelling_and_handing_over_exclude_each_other,
        what_the_processor_has_answered_outlives_kill_9,
        what_the_carrier_has_answered_outlives_kill_9,
        a_torn_end_of_the_book_is_cut_off,
        asked_to_end_it_answers_what_is_under_way_and_ends_well,
        a_book_has_one_process,
        what_is_too_long_or_no_request_is_refused,
    ]))
