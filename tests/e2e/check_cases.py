#!/usr/bin/python3
"""Plays cases.json through the gateway: every RPC, every bad input, and that what was refused has changed nothing."""
import json
import os
import re
import sys
import time

import tap
from client import Client, Refused, new_id
from whole_mesh import Mesh

HERE = os.path.dirname(os.path.abspath(__file__))
BIG = "x" * (1 << 20)
SERVICES = ("svc-order", "svc-payment", "svc-inventory", "svc-shipping", "svc-notify")


def fill(value, vars_):
    """Puts variables into a case: ${name}, ${uuid} a new id, ${uuid:name} a new id that is remembered. One that is an
    object stands alone."""
    if isinstance(value, dict):
        return {k: fill(v, vars_) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v, vars_) for v in value]
    if not isinstance(value, str):
        return value
    if isinstance(vars_.get(value[2:-1]), dict):
        return vars_[value[2:-1]]

    def one(m):
        name = m.group(1)
        if name == "uuid":
            return new_id()
        if name.startswith("uuid:"):
            vars_[name[5:]] = new_id()
            return vars_[name[5:]]
        return BIG if name == "big" else vars_[name]

    return re.sub(r"\$\{([^}]+)\}", one, value)


def differs(want, got, path="reply"):
    """None, or where got is not what is wanted; of objects and lists only what is wanted is looked at."""
    if isinstance(want, dict):
        for key, value in want.items():
            if not isinstance(got, dict) or key not in got:
                return f"{path}.{key} is missing in {json.dumps(got)[:400]}"
            problem = differs(value, got[key], f"{path}.{key}")
            if problem:
                return problem
        return None
    if isinstance(want, list):
        if not isinstance(got, list) or len(got) < len(want):
            return f"{path} has too few items: {json.dumps(got)[:400]}"
        return next((p for i, w in enumerate(want) if (p := differs(w, got[i], f"{path}[{i}]"))), None)
    return None if want == got else f"{path} is {got!r}, not {want!r}"


def heads(client):
    return [client.call("mesh.v1.AdminService/GetStatus", {}, "operator:olga", {"mesh-service": s})["head"]
            for s in SERVICES]


def attempt(client, case, vars_):
    """Plays one case once: None or the problem."""
    raw = bytes.fromhex(case["raw"]) if "raw" in case else None
    request = fill(case["request"], vars_)
    try:
        reply = client.call(case["call"], request, case["as"], case.get("metadata"), raw, case.get("take"))
    except Refused as e:
        if e.code != case.get("code", "OK"):
            return str(e)
        if e.reason != case["reason"]:
            return f"the reason is {e.reason!r}: {e}"
        if e.fields != ([case["field"]] if "field" in case else []):
            return f"the fields are {e.fields}: {e}"
        if e.subjects != ([fill(case["subject"], vars_)] if "subject" in case else []):
            return f"the subjects are {e.subjects}: {e}"
        return differs(case.get("meta", {}), e.metadata, "metadata")
    if "code" in case:
        return f"was not refused: {json.dumps(reply)[:400]}"
    problem = differs(fill(case.get("reply", {}), vars_), reply)
    if not problem and case.get("reply_has", "") not in json.dumps(reply):
        problem = f"the reply has no {case['reply_has']}: {json.dumps(reply)[:400]}"
    for name, path in ({} if problem else case.get("save", {})).items():
        value = reply
        for part in path.split("."):
            value = value[int(part) if isinstance(value, list) else part]
        vars_[name] = value
    return problem


def play_refused(client, case, vars_):
    """What was refused has changed nothing: played until nothing else was written meanwhile, either."""
    before, end = heads(client), time.monotonic() + 20
    while time.monotonic() < end:
        problem = attempt(client, case, vars_)
        after = heads(client)
        if problem or after == before:
            return problem
        before = after
        time.sleep(0.05)
    return "it was refused and yet something was written"


def play(client, case, vars_):
    end = time.monotonic() + 20
    problem = play_refused(client, case, vars_) if "code" in case else attempt(client, case, vars_)
    while problem and case.get("until") and time.monotonic() < end:  # what another service has yet to hear of
        time.sleep(0.05)
        problem = attempt(client, case, vars_)
    assert problem is None, problem


def main():
    vars_ = {}
    with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as f:
        cases = json.load(f)
    with Mesh() as mesh, Client(mesh, tls=True) as client:
        return tap.run([(case["name"], lambda case=case: play(client, case, vars_)) for case in cases])


if __name__ == "__main__":
    sys.exit(not main())
