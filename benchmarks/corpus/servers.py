"""What is to be measured: servers that are started by a line, or run already."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

from case import Case, Expectation, Seen, Start, failed, measured, refused
from sounds import wav

PY = sys.executable
OURS = f"{PY} -m capsexp.server engine=null workers={{workers}} --port {{port}}"
RIGHT = {"a.wav": 2.0}
SOON = "server.ready_timeout=4"  # for what never becomes ready: the others have time, however slow the machine


def command(name: str, line: str, expected: str, expect: Expectation, *overrides: str) -> Case:
    """`server.cmd`, as it is typed in a shell's quotes."""

    def make(place: Path) -> Start:
        wav(place / "clips" / "a.wav")
        given = [f"server.cmd={line.replace('@', str(place))}", "server=command", "server.ready_timeout=60", *overrides]
        return Start(
            [o for n, o in enumerate(given) if not any(o.split("=")[0] == p.split("=")[0] for p in given[n + 1 :])]
        )

    return Case(f"server.cmd {name}", make, expected, expect)


def url(given: str, expected: str, expect: Expectation) -> Case:
    def make(place: Path) -> Start:
        wav(place / "clips" / "a.wav")
        return Start(["server=external", f"server.url={given}"])

    return Case(f"server.url={given}", make, expected, expect)


def beside(name: str, server: str, scheme: str, expected: str, expect: Expectation) -> Case:
    """A server that runs already and is not what it should be: a Python program that is given its port."""

    def make(place: Path) -> Start:
        wav(place / "clips" / "a.wav")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        process = subprocess.Popen(
            [PY, "-c", server, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                process.poll()
                subprocess.run(["sleep", "0.05"], check=True)
        return Start(
            ["server=external", f"server.url={scheme}://127.0.0.1:{port}", "load.timeout=5", "reference=off"],
            beside=process,
        )

    return Case(name, make, expected, expect)


def lost(*parts: str) -> Expectation:
    """Not everything was completed: warned of in the report, and nothing was found feasible."""

    def look(seen: Seen) -> str | None:
        if seen.report is None:
            return "no report"
        sent = seen.report["configurations"][0]["requests"]
        if sent["completed"] == sent["total"] or not seen.report["warnings"]:
            return f"{sent['completed']} of {sent['total']} completed, warnings: {seen.report['warnings']}"
        if seen.report["verdict"].startswith("FEASIBLE"):
            return str(seen.report["verdict"])
        whole = json.dumps(seen.report) + json.dumps(seen.run)
        return next((f"report lacks {part!r}" for part in parts if not re.search(part, whole)), None)

    return look


LISTENS = "import os, socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nkept = []\nwhile 1:\n "
HTTP = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
CLOSES = LISTENS + "s.accept()[0].close()"
SILENT = LISTENS + "kept.append(s.accept())"
NOISE = LISTENS + "c = s.accept()[0]; c.send(os.urandom(9999)); c.close()"
JSON = """
import asyncio, sys
from websockets.asyncio.server import serve

async def answer(connection):
    async for _ in connection:
        await connection.send("[1,2")

async def main():
    async with serve(answer, "127.0.0.1", int(sys.argv[1])):
        await asyncio.Future()

asyncio.run(main())
"""


def cases() -> list[Case]:
    serve = f"exec {OURS}"
    return [
        command("is right", OURS, "measured", measured(RIGHT)),
        command("is missing", "no-such-program {port}", "refused, named", refused("can be started", "no-such-program")),
        command("is no program", "/etc/passwd {port}", "refused, named", refused("can be started", "/etc/passwd")),
        command("is a folder", "/tmp {port}", "refused, named", refused("can be started", "/tmp")),
        command("is empty", "", "refused", refused("server.cmd")),
        command(
            "has an open quote",
            "sh -c 'sleep {port}",
            "said in one line",
            lambda s: None if "quot" in s.err or "quot" in str(s.run) else s.err,
        ),
        command("exits at once with 0", "true {port}", "failed, with its code", failed("ended with code 0")),
        command(
            "exits at once with words",
            "sh -c 'echo no license >&2; exit 3' {port}",
            "failed, with code and words",
            failed("code 3", "no license"),
        ),
        command("sleeps", "sleep 600 {port}", "failed, names the setting", failed("server.ready_timeout"), SOON),
        command(
            "prints endlessly", "sh -c 'yes' {port}", "failed, little written", failed("server.ready_timeout"), SOON
        ),
        command(
            "prints without a line end",
            "sh -c 'cat /dev/zero' {port}",
            "failed, little written",
            failed("server.ready_timeout"),
            SOON,
        ),
        command(
            "prints escapes",
            r"sh -c 'printf \"\\033[2J\\033]0;x\\007\"; exit 1' {port}",
            "failed, escaped",
            lambda s: "raw" if "\x1b" in s.err + s.out else failed("code 1")(s),
        ),
        command(
            "lacks {workers}",
            f"{PY} -m capsexp.server engine=null --port {{port}}",
            "measured: one count is no sweep",
            measured(RIGHT),
        ),
        command(
            "lacks {workers} in a sweep",
            f"{PY} -m capsexp.server engine=null --port {{port}}",
            "refused",
            refused("does not mention"),
            "workers=1,2",
        ),
        command(
            "lacks {port}, which is taken by none",
            f"{PY} -m capsexp.server engine=null workers={{workers}} --port 16117",
            "measured on server.port",
            measured(RIGHT),
            "server.port=16117",
        ),
        command(
            "has braces of its own",
            f"""sh -c 'test "$1" = "{{\\"a\\": {{1}}}}" && {serve}' x '{{"a": {{1}}}}'""",
            "measured",
            lambda s: measured(RIGHT)(s),
        ),
        command(
            "has ${x}",
            "sh -c 'exit ${x}' {port}",
            "said in one line",
            lambda s: None if s.code in (1, 2) and "${" in s.err + str(s.run) else s.err,
        ),
        command("is a setsid wrapper", f"setsid -f {OURS}", "failed or measured, nothing left", lambda s: None),
        command("is setsid -w", f"setsid -w {OURS}", "measured, nothing left", measured(RIGHT)),
        command(
            "is a shell with the server as child", f"sh -c '{OURS}; true'", "measured, nothing left", measured(RIGHT)
        ),
        command(
            "ignores SIGTERM",
            f"sh -c 'trap \"\" TERM INT; {OURS}; sleep 600'",
            "measured, nothing left",
            measured(RIGHT),
            "server.grace=1",
        ),
        command("listens late", f"sh -c 'sleep 2; {serve}'", "measured", measured(RIGHT), "server.ready_timeout=30"),
        command(
            "fails after its start",
            f"{PY} -m capsexp.server engine=null workers={{workers}} --port 0 --run-dir /nonexistent-{{port}}",
            "failed, with its words",
            failed("cannot write (server.json|.pids)"),
        ),
        command(
            "listens elsewhere",
            f"sh -c '{PY} -m capsexp.server engine=null --port 16118' {{port}}",
            "failed, names the setting and what it said",
            failed("server.ready_timeout", "16118"),
            "server.ready_timeout=20",
        ),
        command(
            "dies under load",
            f"sh -c '{OURS} engine.rtf=0.05 & sleep 4; kill -9 $!'",
            "incomplete: told, not feasible",
            lost("the server ended with code .* during the load"),
            "server.ready_timeout=30",
            "load.timeout=20",
            "load.repeats=4000",
            "engine.rtf=0.05",
        ),
        command(
            "reads its input",
            f"sh -c 'cat; {serve}'",
            "measured: input is closed",
            measured(RIGHT),
            "server.ready_timeout=30",
        ),
        url("localhost:6016", "refused, with the line to use", refused("ws://localhost:6016")),
        url("ws://127.0.0.1:99999", "refused", refused("server.url", "port|65535")),
        url("ws://127.0.0.1:1", "no answer, at once", refused("no answer", code=1)),
        url(
            "http://127.0.0.1:1",
            "refused",
            lambda s: None if s.code in (1, 2) and "server.url" in s.err and s.seconds < 20 else s.err,
        ),
        url("ws://", "refused", refused("server.url")),
        url("ws://no such host", "refused", lambda s: None if s.code in (1, 2) and "server.url" in s.err else s.err),
        url("ws://nowhere.invalid:6016", "no answer", refused("server.url.*no answer", code=1)),
        url(
            "ws://" + "a" * 300 + ":1",
            "nobody answers",
            lambda s: None if s.code in (1, 2) and "server.url" in s.err else s.err,
        ),
        beside("external: is HTTP", HTTP, "ws", "told at once", refused("is not a WebSocket server", code=1)),
        beside(
            "external: closes at once",
            CLOSES,
            "ws",
            "told before anything starts",
            refused("is not a WebSocket server", code=1),
        ),
        beside(
            "external: never answers",
            SILENT,
            "ws",
            "told before anything starts",
            refused("did not answer within", code=1),
        ),
        beside(
            "external: answers noise",
            NOISE,
            "ws",
            "told before anything starts",
            refused("is not a WebSocket server", code=1),
        ),
        beside(
            "external: wss to a plain port",
            CLOSES,
            "wss",
            "told before anything starts",
            refused("does not speak TLS", code=1),
        ),
        beside(
            "external: answers broken JSON", JSON, "ws", "failed, with its words", failed("first request", "not JSON")
        ),
    ]
