"""A client of the gateway that is not ours on the wire: Debian's python3-grpcio, stubs by protobuf-compiler-grpc."""
import importlib
import os
import subprocess
import sys
import tempfile
import time
import uuid

import grpc

from whole_mesh import ROOT


def _generate_stubs():
    """Compiles the protos for Python into a directory that goes with the process."""
    stubs = tempfile.TemporaryDirectory(prefix="ordermesh-stubs-")
    protos = ROOT / "protos"
    own = [str(p.relative_to(protos)) for p in protos.rglob("*.proto")]
    outside = ["grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto", "grpc/reflection/v1alpha/reflection.proto"]
    subprocess.run(["protoc", f"-I{protos}", "-I/usr/include", "-I/usr/share/grpc-proto", f"--python_out={stubs.name}",
                    f"--grpc_out={stubs.name}", "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *own, *outside],
                   check=True, cwd=protos)
    return stubs


_stubs = _generate_stubs()
STUBS = _stubs.name
sys.path.insert(0, STUBS)
grpc.__path__.append(os.path.join(STUBS, "grpc"))  # grpc.health and grpc.reflection

from google.protobuf import json_format, symbol_database  # noqa: E402
import google.rpc.error_details_pb2 as error_details  # noqa: E402
import google.rpc.status_pb2 as status_pb  # noqa: E402

MODULES = {
    "oms.catalog.v1": "oms.catalog.v1.catalog",
    "oms.inventory.v1": "oms.inventory.v1.inventory",
    "oms.notify.v1.AlertService": "oms.notify.v1.alert",
    "oms.notify.v1.NotificationService": "oms.notify.v1.notification",
    "oms.order.v1": "oms.order.v1.order",
    "oms.payment.v1.LedgerService": "oms.payment.v1.ledger",
    "oms.payment.v1.PaymentService": "oms.payment.v1.payment",
    "oms.shipping.v1": "oms.shipping.v1.fulfillment",
    "oms.storefront.v1": "oms.storefront.v1.storefront",
    "mesh.v1.AdminService": "mesh.v1.admin",
    "mesh.v1.LogService": "mesh.v1.log",
    "mesh.v1.DeliverService": "mesh.v1.deliver",
    "grpc.health.v1": "grpc.health.v1.health",
    "grpc.reflection.v1": "grpc.reflection.v1.reflection",
    "grpc.reflection.v1alpha": "grpc.reflection.v1alpha.reflection",
}

class Refused(Exception):
    """A status other than OK with its details taken apart."""

    def __init__(self, error):
        self.code = error.code().name
        self.message = error.details()
        self.reason, self.fields, self.metadata, self.retry = "", [], {}, False
        self.subjects = []  # of a FAILED_PRECONDITION: what does not allow it
        for key, value in error.trailing_metadata() or ():
            if key != "grpc-status-details-bin":
                continue
            status = status_pb.Status.FromString(value)
            for any_ in status.details:
                kind = any_.type_url.rsplit(".", 1)[-1]
                if kind == "ErrorInfo":
                    info = error_details.ErrorInfo.FromString(any_.value)
                    self.reason = info.reason
                    self.metadata = {m.key: m.value for m in info.metadata}
                elif kind == "BadRequest":
                    self.fields += [v.field for v in error_details.BadRequest.FromString(any_.value).field_violations]
                elif kind == "PreconditionFailure":
                    violations = error_details.PreconditionFailure.FromString(any_.value).violations
                    self.subjects += [v.subject for v in violations if v.type == self.reason]
                elif kind == "RetryInfo":
                    self.retry = True
        super().__init__(f"{self.code} {self.reason} {self.fields} {self.message}")


def _module(call_name, suffix):
    service = call_name.partition("/")[0]
    return importlib.import_module((MODULES.get(service) or MODULES[service.rsplit(".", 1)[0]]) + suffix)


def request_of(name, fields):
    """The request message of pkg.Service/Method, filled from proto3 JSON."""
    service, _, method = name.partition("/")
    descriptor = _module(name, "_pb2").DESCRIPTOR.services_by_name[service.rsplit(".", 1)[1]].methods_by_name[method].input_type
    return json_format.ParseDict(fields, symbol_database.Default().GetPrototype(descriptor)())


def as_dict(message):
    return json_format.MessageToDict(message, including_default_value_fields=True)


def new_id():
    return str(uuid.uuid4())


class Client:
    """One connection to a mesh's gateway, by any number of people. People are named role:subject; expired, foreign and
    garbage are customers whose token is no good."""

    def __init__(self, mesh, tls=False):
        self.mesh, self.tokens = mesh, {}
        if tls:
            self.channel = grpc.secure_channel(mesh.tls_address, grpc.ssl_channel_credentials(mesh.ca.read_bytes()))
        else:
            self.channel = grpc.insecure_channel(mesh.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def _make_token(self, role, subject):
        if role == "garbage":
            return "not.a.token"
        if role == "expired":
            return self.mesh.token(subject, "customer", ttl="-1h")
        return self.mesh.foreign_token(subject, "customer") if role == "foreign" else self.mesh.token(subject, role)

    def metadata(self, who, extra=None):
        role, _, subject = who.partition(":")
        if role == "guest":
            return list((extra or {}).items())
        if who not in self.tokens:
            self.tokens[who] = self._make_token(role, subject)
        return [("authorization", "Bearer " + self.tokens[who]), *(extra or {}).items()]

    def stub(self, name):
        service, _, method = name.partition("/")
        return getattr(getattr(_module(name, "_pb2_grpc"), service.rsplit(".", 1)[1] + "Stub")(self.channel), method)

    def stream(self, name, request, who="guest", timeout=30):
        """The replies of a server stream as they come, as messages."""
        return self.stub(name)(request_of(name, request), metadata=self.metadata(who), timeout=timeout)

    def call(self, name, request, who="guest", extra=None, raw=None, take=None, timeout=30):
        """The reply as a dict, or with take the first replies of a stream as a list. A list of requests is what the
        client streams, and has all replies. raw sends bytes as they are. Raises Refused."""
        options = {"metadata": self.metadata(who, extra), "timeout": timeout}
        try:
            if raw is not None:
                return {"raw": self.channel.unary_unary("/" + name)(raw, **options).hex()}
            if isinstance(request, list):
                return [as_dict(r) for r in self.stub(name)(iter([request_of(name, r) for r in request]), **options)]
            message = request_of(name, request)
            if take is None:
                return as_dict(self.stub(name)(message, **options))
            stream = self.stub(name)(iter([message]) if name.startswith("grpc.reflection") else message, **options)
            replies = [as_dict(reply) for _, reply in zip(range(take), stream)]
            stream.cancel()
            return replies
        except grpc.RpcError as e:
            raise Refused(e) from None


def await_prices(client):
    """Until svc-order knows what the catalogue has by now."""
    first = client.call("mesh.v1.LogService/Tail", {"maxEntries": 1}, "erp:erp1", {"mesh-service": "svc-inventory"}, take=1)[0]
    catalogue = {"incarnation": first["position"]["incarnation"], "seq": first["head"]}
    nothing = {"requestId": new_id(), "minPosition": catalogue, "orders": [{}]}
    assert client.call("oms.order.v1.OrderService/ImportOrders", [nothing], "erp:erp1")[0]["refused"] == 1


def await_true(what, f, seconds=30):
    """Polls f until it returns something true; for state that has no event to wait for."""
    end = time.monotonic() + seconds
    while True:
        value = f()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("gave up waiting until " + what)
        time.sleep(0.02)
