"""Where capsexp runs: encodings, limits, terminals that go away, folders that cannot be written; bad settings."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

from case import Case, Expectation, Seen, Start, failed, measured, refused
from sounds import encoded, wav

ONE = {"录音.wav": 2.0}


def around(name: str, expected: str, expect: Expectation, start: Callable[[], Start] = Start) -> Case:
    def make(place: Path) -> Start:
        wav(place / "clips" / "录音.wav")
        (place / "clips" / "录音.txt").write_text("会议开始", "utf-8")
        return start()

    return Case(name, make, expected, expect)


def setting(override: str, *parts: str) -> Case:
    key = override.partition("=")[0]
    return around(
        override,
        "refused, names the setting",
        refused(*(parts or (key.replace(".", r"\."),))),
        lambda: Start([override]),
    )


def many(count: int, files: int, hard: bool) -> Callable[[Path], Start]:
    def make(place: Path) -> Start:
        content = encoded(0.2)
        for number in range(count):
            (place / "clips" / f"{number:05d}.wav").write_bytes(content)
        return Start(
            ["archive.enabled=true", "load.timeout=100"],
            shell=f'ulimit -{"H" if hard else ""}{"n" if hard else "Sn"} {files} && ulimit -n {files}; "$@"',
        )

    return make


def _read_only(place: Path) -> Start:
    wav(place / "clips" / "录音.wav")
    (place / "work").mkdir(mode=0o555)
    return Start(cwd="work", obeys_modes=True)


def _occupied(place: Path) -> Start:
    wav(place / "clips" / "录音.wav")
    (place / "outputs").write_text("a file")
    return Start()


def _first_line(seen: Seen) -> str | None:
    return None if seen.out.count("\n") <= 1 and "Broken pipe" not in seen.err else seen.out + seen.err


def cases() -> list[Case]:
    one = measured(ONE)
    return [
        Case(
            "1200 files, ulimit -Sn 1024",
            many(1200, 1024, False),
            "all right, limits raised or load bounded",
            measured(1200),
        ),
        Case("300 files, ulimit -n 128", many(300, 128, True), "all right, the load bounded", measured(300)),
        Case(
            "20 files, ulimit -n 40",
            many(20, 40, True),
            "told in one line or right",
            lambda s: None if s.code == 0 or "files" in s.err.lower() + str(s.run).lower() else s.err,
        ),
        around(
            "PYTHONIOENCODING=latin-1",
            "measured, the report shown",
            one,
            lambda: Start(env={"PYTHONIOENCODING": "latin-1"}),
        ),
        around(
            "PYTHONIOENCODING=ascii",
            "measured, the report shown",
            one,
            lambda: Start(env={"PYTHONIOENCODING": "ascii"}),
        ),
        around(
            "LC_ALL=C",
            "measured; the name as bytes",
            measured(1),
            lambda: Start(env={"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ),
        around("LC_ALL of no such locale", "measured", one, lambda: Start(env={"LC_ALL": "xx_YY.UTF-8"})),
        around("TZ odd", "measured", one, lambda: Start(env={"TZ": "Asia/Kathmandu"})),
        around("TZ of no such zone", "measured", one, lambda: Start(env={"TZ": ":no/where"})),
        around("HOME unset", "measured", one, lambda: Start(env={"HOME": None})),
        around("HOME is nowhere", "measured", one, lambda: Start(env={"HOME": "/nowhere"})),
        around(
            "no environment but PATH",
            "measured",
            one,
            lambda: Start(shell='env -i PATH="$PATH" CORPUS_MARK="$CORPUS_MARK" PYTHONPATH="$PYTHONPATH" "$@"'),
        ),
        around("PATH empty", "measured: wav needs no ffmpeg", one, lambda: Start(shell='PATH= "$@"')),
        around(
            "a proxy in the environment",
            "measured",
            one,
            lambda: Start(
                env={
                    "http_proxy": "http://127.0.0.1:1",
                    "https_proxy": "http://127.0.0.1:1",
                    "all_proxy": "socks5://127.0.0.1:1",
                }
            ),
        ),
        around(
            "| head -1",
            "141 and quiet",
            lambda s: _first_line(s) or (None if s.code in (0, 141) else str(s.code)),
            lambda: Start(shell='"$@" | head -1'),
        ),
        around(
            "--help | head -1",
            "141 and quiet",
            lambda s: _first_line(s),
            lambda: Start(["--help"], shell='"$@" | head -1'),
        ),
        around(
            "closed stdout",
            "measured",
            lambda s: None if s.code in (0, 1) and s.report else s.err,
            lambda: Start(shell='"$@" >&-'),
        ),
        around("closed stderr", "measured", one, lambda: Start(shell='"$@" 2>&-')),
        around("closed stdin", "measured", one, lambda: Start(shell='"$@" <&-')),
        around(
            "all three closed",
            "measured",
            lambda s: None if s.code in (0, 1) and s.report else s.err,
            lambda: Start(shell='"$@" <&- >&- 2>&-'),
        ),
        around(
            "stdout to a full device",
            "measured, the report is in the folder",
            one,
            lambda: Start(shell='"$@" >/dev/full'),
        ),
        around(
            "ulimit -v 300 MB",
            "told in one line or right",
            lambda s: None if s.code == 0 or len(s.err.strip()) else s.err,
            lambda: Start(limits={resource.RLIMIT_AS: 300 << 20}),
        ),
        around(
            "ulimit -v 1 GB",
            "told or right",
            lambda s: None if s.code in (0, 1) and s.report else s.err,
            lambda: Start(limits={resource.RLIMIT_AS: 1 << 30}),
        ),
        around(
            "ulimit -f 1 block",
            "told in one line",
            lambda s: None if s.code and "large" in s.err else s.err,
            lambda: Start(shell='ulimit -f 8; trap "" XFSZ; "$@"'),
        ),
        Case("read-only working folder", _read_only, "told in one line", refused("denied")),
        Case("outputs is a file", _occupied, "told in one line", refused("outputs")),
        around(
            "umask 777", "told in one line", refused("denied"), lambda: Start(shell='umask 777; "$@"', obeys_modes=True)
        ),
        around("samples.dir is a file", "refused", refused("is not a folder"), lambda: Start(clips="/etc/passwd")),
        around(
            "samples.dir is nowhere", "refused", refused("/no/where is not a folder"), lambda: Start(clips="/no/where")
        ),
        around("samples.dir empty", "refused", refused("samples.dir"), lambda: Start(clips="")),
        around(
            "samples.dir=/dev",
            "ends, with each named",
            lambda s: None if s.code in (0, 1, 2) else str(s.code),
            lambda: Start(clips="/dev/fd"),
        ),
        around("samples.minutes=0.05", "one of 3 s", measured(1), lambda: Start(["samples.minutes=0.05"])),
        around("load.message_s=0.01", "measured", one, lambda: Start(["load.message_s=0.01"])),
        around(
            "load.seg_duration=0.2", "measured", one, lambda: Start(["load.seg_duration=0.2", "load.seg_overlap=0.05"])
        ),
        around(
            "load.timeout of next to nothing",
            "told",
            lambda s: None if s.report and not s.report["verdict"].startswith("FEASIBLE") else s.err,
            lambda: Start(["load.timeout=0.2", "engine.rtf=1"]),
        ),
        around(
            "an engine that needs too much",
            "failed, told",
            failed("Unable to allocate|fit"),
            lambda: Start(["engine.memory_mb=9000000", "server.on_low_memory=refuse"]),
        ),
        around("name=../../x", "measured, in its own folder", one, lambda: Start(["name=../../x"])),
        setting("samples.minutes=0"),
        setting("engine.rtf=-1"),
        setting("report.tolerance=-3"),
        setting("monitor.port=99999999"),
        setting("reference.processes=[true]"),
        setting("load.timeout=inf"),
        setting("load.timeout=nan"),
        setting("trials=0"),
        setting("workers=1e9"),
        setting("load.seg_duration=0"),
        setting("thresholds.speedup=-1"),
        setting("server.host=::zz"),
        setting("server.grace=-1"),
    ]
