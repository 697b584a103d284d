#!/usr/bin/python3
"""omsctl against a server that misbehaves: what is sent again, what is given up, what goes along as metadata."""

import collections
import concurrent.futures
import contextlib
import csv
import itertools
import os
import pathlib
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "year"))
import expect
import client  # its stubs
import tap
from whole_mesh import SAMPLE

import mesh.v1.log_pb2 as log_pb
import oms.order.v1.order_pb2 as order_pb

BUILD = pathlib.Path(os.environ["OMS_BUILD_DIR"])
ADJUST = ("stock", "adjust", "SKU-1", "BER", "5")


class Server(grpc.GenericRpcHandler):
    """Answers every call by the given function of (number of the call, context); keeps what it was asked."""

    def __init__(self, answer):
        self.answer, self.lock = answer, threading.Lock()
        self.requests, self.metadata = [], []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[self])
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.call)

    def call(self, request, context):
        with self.lock:
            self.requests.append(request)
            self.metadata.append(dict(context.invocation_metadata()))
            number = len(self.requests)
        return self.answer(number, context)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop(0).wait()

    def ctl(self, *args):
        env = {name: value for name, value in os.environ.items() if not name.startswith("OMSCTL")}
        return subprocess.run([BUILD / "omsctl" / "omsctl", *args, "--server", f"127.0.0.1:{self.port}"],
                              env=env | {"OMSCTL_CA": "", "OMSCTL_TOKEN": "", "HOME": "/"}, cwd="/",
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def unavailable_until(calls):
    def answer(number, context):
        if number < calls:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return b""
    return answer


def what_met_unavailable_is_sent_again_with_the_same_request_id():
    with Server(unavailable_until(3)) as server:
        done = server.ctl(*ADJUST)
        assert done.returncode == 0, done
        assert len(server.requests) == 3 and len(set(server.requests)) == 1, server.requests
        assert b"req_" in server.requests[0]


def two_runs_have_two_request_ids():
    with Server(unavailable_until(1)) as server:
        server.ctl(*ADJUST)
        server.ctl(*ADJUST)
        assert len(set(server.requests)) == 2, server.requests


def after_some_attempts_it_is_given_up():
    with Server(unavailable_until(100)) as server:
        done = server.ctl(*ADJUST)
        assert done.returncode == 3 and "UNAVAILABLE" in done.stderr, done
        assert 2 <= len(server.requests) <= 10, len(server.requests)


def a_refusal_is_not_sent_again():
    def refuse(_, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")
    with Server(refuse) as server:
        done = server.ctl(*ADJUST)
        assert done.returncode == 2 and "FAILED_PRECONDITION: no" in done.stderr, done
        assert len(server.requests) == 1


def the_timeout_ends_a_call_that_hangs():
    hanging = threading.Event()
    with Server(lambda *_: hanging.wait(20) and b"" or b"") as server:
        begun = time.monotonic()
        done = server.ctl(*ADJUST, "--timeout", "700ms")
        took = time.monotonic() - begun
        hanging.set()
        assert done.returncode == 3 and "DEADLINE_EXCEEDED" in done.stderr, done
        assert 0.6 < took < 10, took


def token_and_process_go_along():
    with Server(unavailable_until(1)) as server:
        server.ctl("status", "--service", "svc-order", "--token", "ey.a.b")
        assert server.metadata[0]["authorization"] == "Bearer ey.a.b", server.metadata
        assert server.metadata[0]["mesh-service"] == "svc-order", server.metadata


def a_reply_that_is_no_such_message_is_told():
    with Server(lambda *_: b"\xff\xff\xff") as server:
        done = server.ctl(*ADJUST)
        assert done.returncode == 2 and "INTERNAL" in done.stderr, done


class Shop(Server):
    """Takes orders in chunks, but breaks the first streams off: each behind one acknowledgement, with the chunk that
    came next taken and not acknowledged."""

    def __init__(self, broken, refused="100"):
        super().__init__(None)
        self.refused = refused
        self.broken, self.streams, self.taken, self.repeats = broken, 0, {}, 0

    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        return {"ImportOrders": grpc.stream_stream_rpc_method_handler(self.begin),
                "Tail": grpc.unary_stream_rpc_method_handler(self.tail)}[method]

    def tail(self, _, context):
        yield log_pb.TailResponse(position=log_pb.Position(incarnation="c"), head=7).SerializeToString()

    def answer_chunk(self, raw):
        chunk = order_pb.ImportOrdersRequest.FromString(raw)
        self.repeats += chunk.request_id in self.taken
        assert self.taken.setdefault(chunk.request_id, raw) == raw
        assert not chunk.HasField("min_position"), "a chunk must be the same to the byte whenever it is sent"
        ack = order_pb.ImportOrdersResponse(request_id=chunk.request_id)
        for order in chunk.orders:
            if order.external_id == self.refused:
                ack.results.add(refusal={"reason": "SKU_UNKNOWN", "message": "nothing", "field": "lines[0].sku"})
            elif order.cancelled:
                refunded = sum(1 for line in order.cancelled if line.external_id)
                ack.results.add(credit_id="crd_" + order.external_id, refunded=refunded, credited=len(order.cancelled) - refunded)
            else:
                ack.results.add(order_id="ord_" + order.external_id)
        return ack.SerializeToString()

    def begin(self, chunks, context):
        """What only waits for the catalogue to be known has a stream of its own, before the others."""
        for raw in chunks:
            request = order_pb.ImportOrdersRequest.FromString(raw)
            if not request.HasField("min_position"):
                yield from self.take(itertools.chain([raw], chunks), context)
                return
            assert (request.min_position.incarnation, request.min_position.seq) == ("c", 7), request.min_position
            yield order_pb.ImportOrdersResponse(request_id=request.request_id).SerializeToString()

    def take(self, chunks, context):
        self.streams += 1
        for i, raw in enumerate(chunks):
            ack = self.answer_chunk(raw)
            if i == 1 and self.streams <= self.broken:
                context.abort(grpc.StatusCode.UNAVAILABLE, "it goes")
            yield ack


INVOICES = [f"{i},CUP,Cup,2,2010-12-01 08:26:00,1.00,c{i},France\n" for i in range(1, 221)]


def imported(shop, directory, lines=INVOICES):
    """What omsctl reports of the import of invoices of a line each, and how it ended."""
    file, report = pathlib.Path(directory, "day.csv"), pathlib.Path(directory, "report.csv")
    file.write_text("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n" + "".join(lines),
                    encoding="utf-8")
    done = shop.ctl("order", "import", file, "--map", SAMPLE / "retailer.json", "--report", report)
    with report.open(encoding="utf-8", newline="") as rows:
        return done, list(csv.DictReader(rows))


def an_import_goes_on_where_its_stream_broke_and_misses_nothing():
    with tempfile.TemporaryDirectory() as directory, Shop(broken=3) as shop:
        done, report = imported(shop, directory)
        assert done.returncode == 4, done
        assert shop.streams == 4 and shop.repeats == 3, (shop.streams, shop.repeats)
        sent = [o.external_id for raw in shop.taken.values() for o in order_pb.ImportOrdersRequest.FromString(raw).orders]
        assert sorted(map(int, sent)) == list(range(1, 221)), sent
        assert {row["invoice"] for row in report if row["outcome"] == "sold"} == set(map(str, range(1, 221))) - {"100"}
        refused, = (row for row in report if row["outcome"] != "sold")
        assert (refused["invoice"], refused["outcome"], refused["reason"]) == ("100", "refused", "SKU_UNKNOWN"), refused
        assert "invoice 100 is refused: SKU_UNKNOWN: nothing (lines[0].sku)" in done.stderr, done.stderr


def a_cancellation_waits_until_its_sale_has_been_acknowledged():
    class Slow(Shop):
        """Acknowledges chunks when no other one comes."""

        def take(self, chunks, context):
            came = queue.Queue()
            threading.Thread(target=lambda: list(map(came.put, itertools.chain(chunks, [None]))), daemon=True).start()
            self.together, waiting = [], [b""]
            while waiting[-1] is not None:
                waiting = [came.get()]
                with contextlib.suppress(queue.Empty):
                    while waiting[-1] is not None:
                        waiting.append(came.get(timeout=1))
                taken = [raw for raw in waiting if raw is not None]
                self.together.append([numbers(raw) for raw in taken])
                yield from map(self.answer_chunk, taken)

    def numbers(raw):
        return [order.external_id for order in order_pb.ImportOrdersRequest.FromString(raw).orders]
    lines = [f"{i},CUP,Cup,2,2010-12-01 08:26:00,1.00,c{i},France\n" for i in range(1, 101)]
    lines.append("C101,CUP,Cup,-2,2010-12-01 08:26:00,1.00,c70,France\n")
    with tempfile.TemporaryDirectory() as directory, Slow(broken=0) as shop:
        imported(shop, directory, lines)
        first, second = shop.together
        assert [len(of) for of in first] == [50, 50] and second == [["C101"]], shop.together


def a_dirty_file_is_judged_as_the_rules_say():
    """By a script that knows nothing but the rules; of every line, whatever stands in it."""
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    values = (lambda: chance.choice(("", "", "C", "C", "A", "X")) + str(chance.randrange(400)),
              lambda: chance.choice(("A1", "A1", "a1", "B2 ", " POST", "", "L" * 65)), lambda: chance.choice(("Cup", "", '"a ""cup"""')),
              lambda: chance.choice(("1", "1", "2", "2", "0", "-1", "-1", "-2", "-2", "", "2.0", "1.5", "x", "1000000001")),
              lambda: chance.choice(("2010-12-01 08:26:00",) * 9 + ("", "2010-12-01")),
              lambda: chance.choice(("1.00", "1.00", "1.0", "1", "0.99", "1.01", "0", "0.00", "", "-1.00", "0.001", "dear")),
              lambda: chance.choice(("17850.0", "17850", "2.0", "3", "")), lambda: chance.choice(("France", "Spain", " France", "")))
    rows = [[value() for value in values] for _ in range(4000)]
    for row in rows:
        if chance.random() < 0.8:
            row[:] = [str(chance.randrange(400)), "A1", "Cup", chance.choice(("1", "2")), "2010-12-01 08:26:00",
                      chance.choice(("1.00", "0.99", "1.01", "0")), chance.choice(("17850.0", "2.0", "")), "France"]
            if chance.random() < 0.4:
                row[0], row[3] = "C" + row[0], "-" + row[3]
    with tempfile.TemporaryDirectory() as directory, Shop(broken=0, refused=None) as shop:
        done, report = imported(shop, directory, [",".join(row) + "\n" for row in rows])
        expected = expect.Expected(pathlib.Path(directory, "day.csv"))
        told = {int(row["line"]): (row["outcome"], row["reason"]) for row in report}
        assert told == expected.outcomes, (seed, [(n, rows[n - 2], told.get(n), o) for n, o in expected.outcomes.items()
                                                  if told.get(n) != o][:3], done.stderr)
        assert len(expected.counts) >= 12, (seed, expected.counts)


def a_second_run_sends_the_same_chunks_under_the_same_ids():
    with tempfile.TemporaryDirectory() as directory, Shop(broken=0) as shop:
        imported(shop, directory)
        taken = len(shop.taken)
        imported(shop, directory)
        assert shop.repeats == len(shop.taken) == taken > 1, (shop.repeats, shop.taken.keys())


def an_import_that_gets_no_acknowledgement_any_more_is_given_up_and_says_what_it_lacks():
    class Gone(Shop):
        def take(self, chunks, context):
            self.streams += 1
            if self.streams == 1:
                yield self.answer_chunk(next(chunks))
            context.abort(grpc.StatusCode.UNAVAILABLE, "it is gone")
    with tempfile.TemporaryDirectory() as directory, Gone(broken=0) as shop:
        done, report = imported(shop, directory)
        assert done.returncode == 3 and "it is gone" in done.stderr, done
        assert 2 <= shop.streams <= 30, shop.streams
        told = collections.Counter(row["outcome"] for row in report)
        assert told == {"sold": 50, "unsent": 170}, told


if __name__ == "__main__":
    sys.exit(not tap.run([
        what_met_unavailable_is_sent_again_with_the_same_request_id,
        two_runs_have_two_request_ids,
        after_some_attempts_it_is_given_up,
        a_refusal_is_not_sent_again,
        the_timeout_ends_a_call_that_hangs,
        token_and_process_go_along,
        a_reply_that_is_no_such_message_is_told,
        an_import_goes_on_where_its_stream_broke_and_misses_nothing,
        a_cancellation_waits_until_its_sale_has_been_acknowledged,
        a_dirty_file_is_judged_as_the_rules_say,
        a_second_run_sends_the_same_chunks_under_the_same_ids,
        an_import_that_gets_no_acknowledgement_any_more_is_given_up_and_says_what_it_lacks,
    ]))
