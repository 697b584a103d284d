#!/usr/bin/python3
"""dev/new-service in a copy of the tree: what it makes builds, passes its tests, and is reached through the gateway."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

COPY = pathlib.Path(tempfile.mkdtemp(prefix="ordermesh-new-"))
os.environ["OMS_BUILD_DIR"] = str(COPY / "build")

import whole_mesh  # noqa: E402  it reads the environment
import tap  # noqa: E402

PROGRAMS = ("gateway/gateway", "omsctl/omsctl", "svc-inventory/svc-inventory", "svc-notify/svc-notify",
            "svc-order/svc-order", "svc-payment/svc-payment", "svc-shipping/svc-shipping", "svc-loyalty/svc-loyalty",
            "dev/sandbox/sandbox-processor", "dev/sandbox/sandbox-carrier", "tests/svc-loyalty/check_loyalty_notes",
            "tests/svc-loyalty/check_loyalty_sql")


def run(*args):
    done = subprocess.run(args, cwd=COPY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def it_builds_without_a_warning():
    run("dev/new-service", "loyalty")
    run("meson", "setup", "build", "--buildtype=debug")
    run("ninja", "-C", "build", *PROGRAMS)


def it_is_formatted():
    run("clang-format", "--dry-run", "-Werror", *map(str, COPY.glob("svc-loyalty/*.[ch]")),
        *map(str, COPY.glob("tests/svc-loyalty/*.c")))


def its_tests_pass():
    run("meson", "test", "-C", "build", "--no-rebuild", "loyalty_notes", "sql of svc-loyalty")


def it_is_reached_through_the_gateway():
    with whole_mesh.Mesh() as up:
        put = '{"requestId": "r1", "note": {"noteId": "n1", "text": "hello"}}'
        assert up.ask("call", "oms.loyalty.v1.NoteService/PutNote", put)["text"] == "hello"
        assert up.ask("call", "oms.loyalty.v1.NoteService/GetNote", '{"noteId": "n1"}')["text"] == "hello"
        assert up.ask("status", "--service", "svc-loyalty")["service"] == "svc-loyalty"


def the_same_name_is_refused_a_second_time():
    done = subprocess.run([COPY / "dev" / "new-service", "loyalty"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is there already" in done.stderr, done


if __name__ == "__main__":
    try:
        shutil.copytree(whole_mesh.ROOT, COPY, dirs_exist_ok=True, symlinks=True,
                        ignore=shutil.ignore_patterns(".git", ".dev", "build*", "node_modules", "__pycache__"))
        whole_mesh.ROOT = COPY
        ok = tap.run([
            it_builds_without_a_warning,
            it_is_formatted,
            its_tests_pass,
            it_is_reached_through_the_gateway,
            the_same_name_is_refused_a_second_time,
        ])
    finally:
        shutil.rmtree(COPY, ignore_errors=True)
    sys.exit(not ok)
