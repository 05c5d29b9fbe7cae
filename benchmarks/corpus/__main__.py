"""Inputs, names, servers and surroundings of every kind that users have reported, and more: what was expected of each,
and what was seen. Nothing may end a sweep with a traceback, leave a process, or drop a file without a word."""

from __future__ import annotations

import argparse
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import audio
import named
import servers
import surroundings
from case import Case, play


def shown(text: str, width: int) -> str:
    line = "".join(c if c.isprintable() and not unicodedata.combining(c) else "?" for c in " ".join(text.split()))
    line = line.replace("|", "/")
    return line if len(line) <= width else line[: width - 3] + "..."


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="cases whose name has this")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--width", type=int, default=160, help="of what was seen")
    asked = parser.parse_args()
    everything = [*audio.cases(), *named.cases(), *servers.cases(), *surroundings.cases()]
    chosen: list[Case] = [case for case in everything if asked.only in case.name]
    print(f"| case | expected | seen ({len(chosen)} cases) | s | ok |\n|---|---|---|---|---|", flush=True)
    wrong = 0
    with ThreadPoolExecutor(asked.at_once) as pool:
        for case, (seen, fault) in zip(chosen, pool.map(play, chosen), strict=True):
            wrong += fault is not None
            told = shown(seen.brief(), asked.width)
            print(
                f"| {shown(case.name, 60)} | {shown(case.expected, 80)} | {told} | {seen.seconds:.1f} | "
                f"{'ok' if fault is None else f'NO: {shown(fault, 300)}'} |",
                flush=True,
            )
    print(f"\n{len(chosen)} cases, {len(chosen) - wrong} as expected, {wrong} not")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
