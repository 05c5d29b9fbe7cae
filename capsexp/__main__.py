import sys
from importlib.util import find_spec

_NEEDED = ("hydra", "omegaconf", "msgspec", "numpy", "psutil", "websockets")


def main() -> None:
    """The console script, too."""
    missing = next((name for name in _NEEDED if find_spec(name) is None), None)
    if missing:
        sys.exit(
            f"capsexp: {missing} is not installed for {sys.executable}; activate the environment that capsexp was "
            "installed into (source .venv/bin/activate), or install it: pip install -e ."
        )
    try:
        from capsexp.cli import entry
    except KeyboardInterrupt:
        sys.exit(130)
    entry()


if __name__ == "__main__":
    main()
