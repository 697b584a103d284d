"""A whole mesh for a test: processes of the build under test on free ports, data in a directory of its own."""

import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("OMS_BUILD_DIR", ROOT / "build"))
CTL = BUILD / "omsctl" / "omsctl"
SAMPLE = ROOT / "dev" / "sample"
RETAIL = pathlib.Path(os.environ.get("OMS_RETAIL_DATA", ROOT.parent / "shared" / "data")) / "online-retail.csv.xz"
PORT_OFFSETS = (0, 9, 443, 379, 601, 602)  # gateway, its admin port, TLS, Redis, processor, carrier; services: x01 and x09


def _free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


TAKEN = []


def _take(base):
    """No other test takes that thousand while this process lives."""
    taken = socket.socket(socket.AF_UNIX)
    try:
        taken.bind(f"\0ordermesh-ports-{base}")
    except OSError:
        taken.close()
        return False
    TAKEN.append(taken)
    return True


def port_base():
    """A thousand of ports of which those that a mesh needs are free."""
    hundreds = [h * 100 + o for h in range(1, 10) for o in (1, 9)]
    for _ in range(200):
        base = random.randrange(10000, 31000, 1000)
        if _take(base) and all(_free(base + offset) for offset in (*PORT_OFFSETS, *hundreds)):
            return base
    raise RuntimeError("no thousand of ports is free")


class Mesh:
    """Use as a context manager: up on entry, down and forgotten on exit."""

    def __init__(self, env=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ordermesh-"))
        self.base = port_base()
        self.address = f"127.0.0.1:{self.base}"
        self.tls_address = f"127.0.0.1:{self.base + 443}"
        self.ca = self.dir / "keys" / "ca.crt"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("OMS")}
        self.env |= {"OMS_DEV_DIR": str(self.dir), "OMS_PORT_BASE": str(self.base), "OMS_BUILD_DIR": str(BUILD)} | (env or {})

    def _dev(self, script, *args):
        done = subprocess.run([ROOT / "dev" / script, *args], env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"dev/{script}: {done.stdout}{done.stderr}\n{self.logs()}")

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def logs(self):
        """The ends of all logs, for a failure's explanation."""
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                         for log in sorted((self.dir / "log").glob("*.log")))

    def ctl(self, *args, stdin=None, env=None, code=0, timeout=120):
        """omsctl's output as text; its exit code must be the one expected."""
        done = subprocess.run([CTL, *map(str, args)], env=self.env | (env or {}), input=stdin or "",
                              capture_output=True, text=True, timeout=timeout)
        assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout if code in (0, 4) else done.stderr

    def ask(self, *args, **more):
        """The same as parsed JSON."""
        return json.loads(self.ctl(*args, "-o", "json", **more))

    def token(self, subject, *roles, ttl="1h"):
        return self.ctl("token", "--sub", subject, "--role", ",".join(roles), "--ttl", ttl).strip()

    def foreign_token(self, subject, *roles):
        """Signed by a key that the gateway does not know."""
        key = self.dir / "foreign.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key],
                       check=True, capture_output=True)
        return self.ctl("token", "--key", key, "--sub", subject, "--role", ",".join(roles)).strip()

    def pid(self, process):
        return int((self.dir / "run" / f"{process}.pid").read_text(encoding="ascii").split()[0])

    def up(self):
        """Starts what is missing and leaves the rest alone."""
        self._dev("up", "--bare")

    def stop(self):
        """Ends every process; the data stays."""
        self._dev("down")

    def load_goods(self):
        """One product of which there is plenty: MUG-S at 5 EUR."""
        self.ctl("call", "oms.inventory.v1.InventoryService/UpsertLocation", json.dumps(
            {"requestId": "goods-location", "location": {"locationId": "ber", "title": "Berlin"}}))
        self.ctl("call", "oms.catalog.v1.CatalogService/UpsertProduct", json.dumps(
            {"requestId": "goods-product", "product": {"productId": "mug", "title": "Mug", "variants": [
                {"sku": "MUG-S", "price": {"currencyCode": "EUR", "units": "5"}, "stocked": True}]}}))
        self.ctl("call", "oms.inventory.v1.InventoryService/AdjustStock", json.dumps(
            {"requestId": "goods-stock", "sku": "MUG-S", "locationId": "ber", "delta": "100000", "reason": "RECEIVED"}))

    def load_sample(self):
        self.ctl("catalog", "import", SAMPLE / "catalogue.csv", "--locations", SAMPLE / "locations.csv", "--stock",
                 SAMPLE / "stock.csv")
