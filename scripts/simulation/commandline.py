"""Arguments, many seeds at once, and what is printed; the exit code is 1 if anything was violated."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.simulation.kept import Kept, Meant, add_up, whole_lines
from scripts.simulation.plan import Plan, plan_of
from scripts.simulation.shrink import shrink
from scripts.simulation.totals import Totals
from scripts.simulation.world import Result, simulate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

SHOWN_LINES = 200


def _range(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    return int(least), int(most or least)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate",
        description="Run real devices in virtual time over a network that fails, seed by seed.",
    )
    parser.add_argument("--seeds", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--minutes", type=float, help="begin no seed after so long")
    parser.add_argument("--steps", type=int, default=2_000, help="of each seed (default 2000)")
    parser.add_argument("--devices", type=_range, default=(3, 8), help="A-B (default 3-8)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--shrink-minutes", type=float, default=5.0, help="for the first failure")
    parser.add_argument("--transcript", action="store_true", help="print the whole conversation")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="add a line for each seed; those there are done"
    )
    parser.add_argument(
        "--sum", nargs="+", type=Path, metavar="FILE", help="add up files of --out and of --json"
    )
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    return parser.parse_args(arguments)


def _one(meant: Meant, until: float, seed: int) -> Result | None:
    """Run a seed, unless there is no time left to begin it."""
    return simulate(plan_of(seed, *meant)) if time.monotonic() < until else None


def _results(
    options: argparse.Namespace, meant: Meant, done: Collection[int], until: float
) -> Iterator[Result]:
    """Yield the result of seed after seed, as they come; what had begun in time is finished."""
    work = partial(_one, meant, until)
    wanted = range(options.start, options.start + options.seeds)
    seeds = [seed for seed in wanted if seed not in done]
    if options.jobs == 1:
        yield from (result for result in map(work, seeds) if result is not None)
        return
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        found = pool.imap_unordered(work, seeds)
        yield from (result for result in found if result is not None)


def explain(result: Result, shrink_s: float) -> list[str]:
    """Return a failing run made small, as a readable conversation."""
    until = time.monotonic() + shrink_s
    small = shrink(
        result.plan,
        result.taken,
        lambda plan: simulate(plan).violation is not None,
        lambda: time.monotonic() < until,
    )
    again = simulate(small, readable=True)
    return [
        f"Seed {result.plan.seed}: {result.violation}",
        f"{len(small.steps)} of its {len(result.plan.steps)} steps are enough: {again.violation}",
        *_about(small),
        *(f"  {step}" for step in small.steps),
        "What was said, up to the end:",
        *again.lines[-SHOWN_LINES:],
    ]


def _about(plan: Plan) -> list[str]:
    return [
        f"{plan.devices} devices, late {plan.late}, unknowing {plan.unknowing}",
        f"calls {plan.edges}, {plan.latency_ms} ms, batches of {plan.batch_rows} rows",
        f"clocks {plan.clocks}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit code."""
    options = _arguments(arguments)
    if options.transcript:
        shown = simulate(plan_of(options.start, options.steps, *options.devices), readable=True)
        print("\n".join(_about(shown.plan) + shown.lines))
        print(shown.violation or f"All of it held: {shown.digest}")
        return 1 if shown.violation else 0
    if options.sum:
        told = [line for path in options.sum for line in whole_lines(path)]
        return _report(add_up(told), as_json=options.json)
    return _explore(options)


def _explore(options: argparse.Namespace) -> int:
    meant = Meant(options.steps, *options.devices)
    kept = None if options.out is None else Kept(options.out, meant)
    began = last = time.monotonic()
    until = began + options.minutes * 60 if options.minutes is not None else float("inf")
    totals, failed = Totals(), []
    for result in _results(options, meant, kept.seeds if kept else (), until):
        now = time.monotonic()
        if kept is not None:
            kept.add(result, now - last)
        last = now
        totals.add(result)
        if result.violation is not None:
            failed.append(result)
            print(f"Seed {result.plan.seed}: {result.violation}", file=sys.stderr, flush=True)
    totals.took_s = time.monotonic() - began
    if failed and options.shrink_minutes > 0:
        print("\n".join(explain(failed[0], options.shrink_minutes * 60)), file=sys.stderr)
    return _report(totals, as_json=options.json)


def _report(totals: Totals, *, as_json: bool) -> int:
    print(json.dumps(totals.as_json()) if as_json else "\n".join(totals.lines()))
    return 1 if totals.violations else 0
