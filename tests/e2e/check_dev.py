#!/usr/bin/python3
"""The scripts of dev/: api-check refuses what breaks clients, tap-count counts what was run, up and down say in one
line what is wrong and touch nothing but their own."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import tap
from whole_mesh import BUILD, ROOT, Mesh

ORDER = "oms/order/v1/order.proto"
BREAKS = {
    "a field is gone": ("  string reject_reason = 14;  // a sentence that a customer can read\n", ""),
    "a field has another number": ("int64 quantity = 2 [", "int64 quantity = 9 ["),
    "a field has another type": ("  int64 place_time_us = 10;", "  string place_time_us = 10;"),
    "a field has another name": ("  string etag = 13;", "  string tag = 13;"),
    "a list is single": ("  repeated OrderLine lines = 4;", "  OrderLine lines = 4;"),
    "an enum's value is gone": ("    REJECTED = 3;", "    REFUSED = 3;"),
    "a method is gone": ("rpc ListOrders(", "rpc EnumerateOrders("),
    "a stream is none": ("returns (stream OrderUpdate)", "returns (OrderUpdate)"),
    "a role may call it no more": ("allow: [CUSTOMER, CSR, ERP, ADMIN] mutates: true owner", "allow: [CUSTOMER, CSR, ERP] mutates: true owner"),
    "smaller requests are taken": ("max_request_bytes: 262144", "max_request_bytes: 131072"),
    "shorter texts are taken": ("external_id = 6 [(mesh.v1.field).max_length = 64]", "external_id = 6 [(mesh.v1.field).max_length = 63]"),
    "fewer items are taken": ("max_items: 1000", "max_items: 999"),
    "smaller numbers are taken": ("int64 quantity = 2 [(mesh.v1.field) = { min: 1 max: 1000000000 }]", "int64 quantity = 2 [(mesh.v1.field) = { min: 1 max: 999999999 }]"),
    "larger numbers are asked for": ("int64 quantity = 2 [(mesh.v1.field) = { min: 1 max", "int64 quantity = 2 [(mesh.v1.field) = { min: 2 max"),
    "a field is required": ("string channel = 5 [(mesh.v1.field).max_length = 32]", "string channel = 5 [(mesh.v1.field) = { required: true max_length: 32 }]"),
    "a repeat may happen twice": ("rpc CancelOrder(CancelOrderRequest) returns (CancelOrderResponse) {\n    option (mesh.v1.rule) = { allow: [CUSTOMER, CSR, ERP, ADMIN] mutates: true", "rpc CancelOrder(CancelOrderRequest) returns (CancelOrderResponse) {\n    option (mesh.v1.rule) = { allow: [CUSTOMER, CSR, ERP, ADMIN] idempotent: true"),
    "customers may name nobody but themselves": ("allow: [CUSTOMER, CSR, ERP, ADMIN] mutates: true };", "allow: [CUSTOMER, CSR, ERP, ADMIN] mutates: true owner: \"order_id\" };"),
}
WIDENS = {
    "a field": ("  string etag = 13;", "  string etag = 13;\n  string colour = 200;"),
    "a role": ("allow: [CUSTOMER, CSR, ERP, ADMIN] mutates: true owner", "allow: [CUSTOMER, CSR, WAREHOUSE, ERP, ADMIN] mutates: true owner"),
    "larger requests": ("max_request_bytes: 262144", "max_request_bytes: 524288"),
    "longer texts": ("external_id = 6 [(mesh.v1.field).max_length = 64]", "external_id = 6 [(mesh.v1.field).max_length = 65]"),
    "other numbers": ("int64 quantity = 2 [(mesh.v1.field) = { min: 1 max: 1000000000 }]", "int64 quantity = 2 [(mesh.v1.field) = { min: -1 max: 1000000001 }]"),
    "any number": ("int64 quantity = 2 [(mesh.v1.field) = { min: 1 max: 1000000000 }]", "int64 quantity = 2"),
    "a field is optional": ("currency_code = 4 [(mesh.v1.field) = { required: true max_length: 3 }]", "currency_code = 4 [(mesh.v1.field) = { max_length: 3 }]"),
}


def api_check(directory, *args):
    return subprocess.run([directory / "dev" / "api-check", *args], capture_output=True, text=True, check=False)


def with_change(old, new):
    """api-check's answer in a copy where the API was released and then changed."""
    copy = pathlib.Path(tempfile.mkdtemp(prefix="ordermesh-api-"))
    try:
        shutil.copytree(ROOT / "protos", copy / "protos")
        (copy / "dev").mkdir()
        shutil.copy(ROOT / "dev" / "api-check", copy / "dev")
        assert api_check(copy, "--release").returncode == 0
        proto = copy / "protos" / ORDER
        text = proto.read_text(encoding="utf-8")
        assert old in text, old
        proto.write_text(text.replace(old, new, 1), encoding="utf-8")
        return api_check(copy)
    finally:
        shutil.rmtree(copy)


def the_api_keeps_what_the_last_release_promised():
    done = api_check(ROOT)
    assert done.returncode == 0, done


def every_breaking_change_is_refused():
    for what, (old, new) in BREAKS.items():
        done = with_change(old, new)
        assert done.returncode == 1 and "true no more" in done.stderr, (what, done)


def what_is_new_may_come():
    for what, (old, new) in WIDENS.items():
        done = with_change(old, new)
        assert done.returncode == 0, (what, done)


def tally(*runs, tap=""):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log, tempfile.NamedTemporaryFile("w", suffix=".tap") as other:
        for result, stdout in runs:
            log.write(json.dumps({"name": "x", "result": result, "stdout": stdout}) + "\n")
        log.flush()
        other.write(tap)
        other.flush()
        done = subprocess.run([ROOT / "dev" / "tap-count", log.name, other.name], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip()


def points_are_counted_not_programs():
    assert tally(("OK", "1..2\nok 1 - a\nok 2 - b\n"), ("OK", "ok 1 - c\n")) == (0, "3 passed, 0 failed")


def a_failed_point_is_counted_and_ends_badly():
    assert tally(("FAIL", "ok 1 - a\nnot ok 2 - b\n")) == (1, "1 passed, 1 failed")


def a_program_that_crashed_without_a_word_is_a_failure():
    assert tally(("OK", "ok 1 - a\n"), ("ERROR", "ok 1 - b\n")) == (1, "2 passed, 1 failed")
    assert tally(("TIMEOUT", "")) == (1, "0 passed, 1 failed")


def what_was_skipped_is_told_apart():
    assert tally(("OK", "ok 1 - a\nok 2 - b # SKIP no data\n"), ("SKIP", "1..0 # SKIP\n")) == (
        0, "1 passed, 0 failed, 2 skipped")


def what_did_not_run_under_meson_counts_with_the_rest():
    assert tally(("OK", "ok 1 - a\n"), tap="ok - b\n") == (0, "2 passed, 0 failed")
    assert tally(("OK", "ok 1 - a\n"), tap="not ok - b\n") == (1, "1 passed, 1 failed")


def no_test_at_all_is_a_failure():
    assert tally() == (1, "0 passed, 0 failed")
    assert tally(("SKIP", "1..0 # SKIP\n")) == (1, "0 passed, 0 failed, 1 skipped")


def with_packages(apt_get):
    """What dev/up says on a machine that has no package at all and where apt-get is this."""
    copy = pathlib.Path(tempfile.mkdtemp(prefix="ordermesh-deps-"))
    try:
        (copy / "dev").mkdir()
        for name in ("up", "deps", "lib.sh", "packages", "processes"):
            shutil.copy(ROOT / "dev" / name, copy / "dev")
        (copy / "bin").mkdir()
        for name, script in (("dpkg-query", "exit 1"), ("id", "echo 0"), ("apt-get", apt_get)):
            (copy / "bin" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (copy / "bin" / name).chmod(0o755)
        return subprocess.run([copy / "dev" / "up"], env=os.environ | {"PATH": f"{copy}/bin:{os.environ['PATH']}"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    finally:
        shutil.rmtree(copy)


def packages_that_cannot_be_installed_are_one_clear_line():
    for apt_get, told in (
        ("[ $1 = update ] || { echo 'Reading package lists...'; echo 'E: Unable to locate package libgrpc-dev' >&2; exit 100; }",
         "apt-get install failed: E: Unable to locate package libgrpc-dev"),
        ("echo 'E: The repository is not signed.' >&2; exit 100", "apt-get update failed: E: The repository is not signed."),
    ):
        done = with_packages(apt_get)
        assert done.returncode == 1 and done.stderr == f"deps: {told}\n", done
        assert done.stdout.count("\n") == 1 and "libgrpc-dev" in done.stdout and "redis-server" in done.stdout, done
        assert "haproxy" not in done.stdout, done


def dev(script, mesh, *args, **env):
    return subprocess.run([ROOT / "dev" / script, *args], env=mesh.env | env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=False)


def a_taken_port_is_one_clear_line_and_nothing_is_built_or_started():
    mesh = Mesh()
    with socket.create_server(("127.0.0.1", mesh.base + 101)):
        done = dev("up", mesh, OMS_BUILD_DIR=str(mesh.dir / "build"))
    assert done.returncode == 1 and os.listdir(mesh.dir) == [], done
    assert done.stderr.count("\n") == 1 and f"port {mesh.base + 101}, which svc-order needs" in done.stderr, done
    assert "OMS_PORT_BASE=" in done.stderr, done
    shutil.rmtree(mesh.dir)


def a_process_that_does_not_come_up_is_named_with_its_last_word():
    mesh = Mesh()
    build = mesh.dir / "build"
    (build / "dev").mkdir(parents=True)
    (build / "dev" / "sandbox").symlink_to(BUILD / "dev" / "sandbox")
    for name in ("svc-order", "gateway", "omsctl"):
        (build / name).mkdir(parents=True)
        (build / name / name).symlink_to(BUILD / name / name)
    (build / "svc-inventory").mkdir()
    broken = build / "svc-inventory" / "svc-inventory"
    broken.write_text("#!/bin/sh\necho the disk is on fire >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    done = dev("up", mesh, "--bare", OMS_BUILD_DIR=str(build))
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    assert "svc-inventory ended: the disk is on fire" in done.stderr and "svc-inventory.log" in done.stderr, done
    mesh.__exit__()


def a_switch_of_the_cache_that_is_neither_on_nor_off_is_refused():
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([BUILD / "svc-inventory" / "svc-inventory", "--cache", "perhaps"], cwd=directory,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "cache is on or off" in done.stderr, done


def down_ends_nothing_that_it_did_not_start():
    mesh = Mesh()
    with subprocess.Popen(["sleep", "60"]) as foreign:
        (mesh.dir / "run").mkdir()
        (mesh.dir / "run" / "svc-order.pid").write_text(f"{foreign.pid} 1\n", encoding="utf-8")
        done = dev("down", mesh)
        assert done.returncode == 0 and "0 processes stopped" in done.stdout, done
        assert foreign.poll() is None
        foreign.kill()
    shutil.rmtree(mesh.dir)


def a_wipe_leaves_what_is_not_its_own():
    mesh = Mesh()
    (mesh.dir / "data").mkdir()
    (mesh.dir / "mine.txt").write_text("mine", encoding="utf-8")
    assert dev("down", mesh, "--wipe").returncode == 0
    assert os.listdir(mesh.dir) == ["mine.txt"], os.listdir(mesh.dir)
    shutil.rmtree(mesh.dir)


if __name__ == "__main__":
    sys.exit(not tap.run([
        the_api_keeps_what_the_last_release_promised,
        every_breaking_change_is_refused,
        what_is_new_may_come,
        points_are_counted_not_programs,
        a_failed_point_is_counted_and_ends_badly,
        a_program_that_crashed_without_a_word_is_a_failure,
        what_was_skipped_is_told_apart,
        what_did_not_run_under_meson_counts_with_the_rest,
        no_test_at_all_is_a_failure,
        packages_that_cannot_be_installed_are_one_clear_line,
        a_taken_port_is_one_clear_line_and_nothing_is_built_or_started,
        a_process_that_does_not_come_up_is_named_with_its_last_word,
        a_switch_of_the_cache_that_is_neither_on_nor_off_is_refused,
        down_ends_nothing_that_it_did_not_start,
        a_wipe_leaves_what_is_not_its_own,
    ]))
