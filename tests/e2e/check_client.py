#!/usr/bin/python3
"""omsctl against a server that misbehaves: what is sent again, what is given up, what goes along as metadata."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import threading
import time

import grpc

import tap

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


if __name__ == "__main__":
    sys.exit(not tap.run([
        what_met_unavailable_is_sent_again_with_the_same_request_id,
        two_runs_have_two_request_ids,
        after_some_attempts_it_is_given_up,
        a_refusal_is_not_sent_again,
        the_timeout_ends_a_call_that_hangs,
        token_and_process_go_along,
        a_reply_that_is_no_such_message_is_told,
    ]))
