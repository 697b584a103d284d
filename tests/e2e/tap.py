"""Runs functions whose names are sentences, and tells the outcome as TAP."""

import sys
import traceback


class Skip(Exception):
    """Raised by a test that cannot be made here; says why."""


def run(tests):
    """True if none failed. Each test is a function without arguments, or a name and such a function."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        name, test = test if isinstance(test, tuple) else (test.__name__.replace("_", " "), test)
        try:
            test()
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception:  # a test may fail in any way
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.stdout.flush()
    return failed == 0
