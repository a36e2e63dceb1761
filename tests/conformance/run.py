#!/usr/bin/env python3
"""Runs real clients against `codex-proxy demo` and tells which of their checks passed.

* Needs Python 3.11 or 3.12 and Node 20 or newer; everything else is installed into a cache folder of its own.
* A client that cannot be installed or started has failed, with the reason.
* The last line is `N passed, N failed`; the exit code is 0 only when nothing failed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import sys
import tempfile
import time

from suite import demo, report, runner
from suite.clients import CLIENTS
from suite.environments import InstallError, default_cache

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def main():
    options = _options()
    started = time.monotonic()
    chosen = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    broken = _install(chosen, options.cache)
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        log = pathlib.Path(scratch) / "demo.log"
        try:
            results = _results(options, chosen, broken, scratch, log)
        except demo.StartError as error:
            print(f"{error}\n{log.read_text() if log.exists() else ''}", file=sys.stderr)
            return 1
    print(f"\n{report.table(results)}\n\nall of it took {time.monotonic() - started:.0f} s")
    if options.record:
        options.record.write_text(report.document(results), encoding="utf-8")
    failures = sum(not result.passed for result in results)
    print(f"{len(results) - failures} passed, {failures} failed")
    return 1 if failures else 0


def _options():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help="only these; all by default")
    parser.add_argument("--list", action="store_true", help="print the clients' names and end")
    parser.add_argument("--binary", default=pathlib.Path(target) / "release" / "codex-proxy", help="the proxy to run")
    parser.add_argument("--url", help="check the server at this base URL instead, which must run a demo")
    parser.add_argument("--cache", type=pathlib.Path, default=default_cache(), help="where the clients are installed")
    parser.add_argument("--jobs", type=int, default=2, help="how many clients run at once")
    parser.add_argument("--record", nargs="?", type=pathlib.Path, const=ROOT / "docs" / "compatibility.md",
                        help="also write the results as a page of documentation")
    options = parser.parse_args()
    if options.list:
        print("\n".join(client.name for client in CLIENTS))
        parser.exit()
    names = {client.name for client in CLIENTS}
    unknown = [name for name in options.clients if name not in names]
    if unknown:
        parser.error(f"unknown client {unknown[0]}; known are {', '.join(sorted(names))}")
    return options


def _install(clients, cache):
    """Installs what the clients need; returns the reason for each environment where that failed."""
    broken = {}
    for environment in dict.fromkeys(client.environment for client in clients):
        try:
            print(f"installed {environment.name} in {environment.install(cache):.1f} s", flush=True)
        except InstallError as error:
            print(f"could not install {environment.name}: {error}", flush=True)
            broken[environment] = str(error)
    return broken


def _results(options, clients, broken, scratch, log):
    if options.url:
        return _run_all(options, clients, broken, options.url, scratch)
    with demo.running(options.binary, log) as url:
        return _run_all(options, clients, broken, url, scratch)


def _run_all(options, clients, broken, url, scratch):
    def checked(client):
        if client.environment in broken:
            return [runner.failed(client, "install", broken[client.environment])]
        results = runner.run(client, options.cache, url, scratch, options.binary)
        failures = sum(not result.passed for result in results)
        print(f"{client.title} {client.version}: {len(results) - failures} of {len(results)}", flush=True)
        return results

    print(f"checking the server at {url}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        return [result for results in pool.map(checked, clients) for result in results]


if __name__ == "__main__":
    sys.exit(main())
