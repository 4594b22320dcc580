#!/usr/bin/env python3
"""Runs the cases of the TUF conformance suite (and our own beside them) against a client.

  run.py [--list] [--only TEXT] CLIENT

CLIENT is an executable with the suite's command line, e.g. tests/conformance/tuf-client. Exit code 0
if all cases passed.
"""

import argparse
import concurrent.futures
import os
import sys
import time
import traceback

import cases_targets  # noqa: F401
import cases_top_level  # noqa: F401
from harness import CASES, Client, Server


def run_case(program, server, name, function):
    client = Client(program, server, name)
    try:
        function(client)
        return None
    except Exception:  # A broken case is a failed one; its trace says which.
        return traceback.format_exc() + client.complaints
    finally:
        client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("client", nargs="?")
    arguments = parser.parse_args()
    cases = [entry for entry in CASES if arguments.only in entry[0]]
    if arguments.list:
        print("\n".join(name for name, _ in cases))
        return 0
    if not arguments.client:
        parser.error("the client to be tested is needed")
    program = os.path.abspath(arguments.client)
    server = Server()
    began = time.monotonic()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [(name, pool.submit(run_case, program, server, name, f)) for name, f in cases]
        for name, future in running:
            trace = future.result()
            failed += trace is not None
            print(("FAILED " if trace else "passed ") + name)
            if trace:
                print(trace)
    server.shutdown()
    took = time.monotonic() - began
    print(f"{len(cases) - failed} of {len(cases)} cases passed in {took:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
