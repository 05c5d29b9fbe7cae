#!/usr/bin/env bash
# ./do run [overrides]    set up if needed, then python -m capsexp (default: workers=1,2,3 -m)
# ./do test [arguments]   set up if needed, then what check does and every test; --fast: the fast tests
# ./do check              set up if needed, then ruff, mypy and codespell
# ./do report DIR         build the report of a sweep again from its files, and show it
# ./do serve [overrides]  start our server alone, on 127.0.0.1:6016
# ./do help               what capsexp offers
# Everything goes into .venv here: nothing of the system is touched, "externally managed" or not.
set -euo pipefail
stood=$PWD # what is named in a command is found from there
cd "$(dirname "$0")"
home=$PWD

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.10 python3.13 python3 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "do: no Python 3.10 to 3.13 found; install one or set PYTHON=/path/to/python"
    return 1
}

make_venv() {
    local python
    python=$(find_python)
    # Debian splits ensurepip into python3-venv; without it the virtualenv package does the same.
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        local tools=.venv-tools
        "$python" -m pip install -q --target "$tools" virtualenv
        PYTHONPATH="$tools" "$python" -m virtualenv -q .venv
        rm -rf "$tools"
    else
        say "do: $python has neither venv nor pip; on Debian: apt install python3-venv"
        return 1
    fi
}

bin() { if [ -d .venv/Scripts ]; then echo .venv/Scripts; else echo .venv/bin; fi; } # Scripts: Windows

setup() { # $1: what to install, e.g. .[dev]
    local stamp=".venv/.installed-$(printf '%s' "$1" | cksum | cut -d' ' -f1)"
    [ -x "$(bin)/python" ] || { rm -rf .venv; make_venv; }
    if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
        say "setting up .venv ..."
        # The versions that are tested; other Pythons may need others.
        local tested=
        "$(bin)/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' && tested="-c constraints.txt"
        # shellcheck disable=SC2086
        "$(bin)/python" -m pip install -q --disable-pip-version-check --use-pep517 $tested -e "$1"
        # A sweep starts many processes, and where Python is told to write no bytecode each would compile all of ours.
        "$(bin)/python" -m compileall -q capsexp tests
        touch "$stamp"
    fi
}

check() {
    "$(bin)/python" -m ruff check .
    "$(bin)/python" -m ruff format --check -q .
    local checks=() platform check
    for platform in linux win32 darwin; do # side by side, each with what it knows from before
        "$(bin)/python" -m mypy --platform "$platform" --cache-dir ".mypy_cache/$platform" &
        checks+=($!)
    done
    for check in "${checks[@]}"; do wait "$check"; done
    "$(bin)/python" -m codespell_lib
}

run() { exec "$(bin)/python" -m "$@"; }

run_there() { # where the user stands, as python -m does: files are found, and outputs/ made, from there
    local python
    python=$home/$(bin)/python
    cd "$stood"
    exec "$python" -m "$@"
}

command=${1:-}
[ $# -gt 0 ] && shift
case "$command" in
run)
    extras=
    case " $* " in *engine.twin=*) extras=$extras,twin ;; esac
    case " $* " in *engine=sherpa*) extras=$extras,sherpa ;; esac
    setup ".${extras:+[${extras#,}]}"
    [ $# -gt 0 ] || set -- workers=1,2,3 -m
    run_there capsexp "$@"
    ;;
check)
    setup '.[dev]'
    check
    ;;
test)
    setup '.[dev]'
    check
    if [ "${1:-}" = --fast ]; then
        shift
        run pytest -n logical --maxprocesses 4 --dist worksteal "$@"
    fi
    # Two at a time, as most of them wait for something. Some measure: what fails beside others is run again alone, and
    # has to pass there.
    failed=0
    "$(bin)/python" -m pytest --all -n 2 --dist worksteal "$@" || failed=$?
    [ $failed -eq 1 ] || exit $failed
    say "do: what failed is run again, alone"
    append=
    case " $* " in *" --cov "*) append=--cov-append ;; esac
    run pytest --all --last-failed --last-failed-no-failures none $append "$@"
    ;;
report | serve | help)
    setup .
    case "$command" in
    report) run_there capsexp.report "$@" ;;
    serve) run_there capsexp.server "$@" ;;
    help) run_there capsexp --help ;;
    esac
    ;;
*)
    sed -n 's/^# \(\.\/do .*\)/\1/p' do >&2
    exit 2
    ;;
esac
