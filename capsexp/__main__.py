import sys


def main() -> None:
    """The console script, too."""
    try:
        from capsexp.cli import entry
    except KeyboardInterrupt:  # importing takes a second
        sys.exit(130)
    except ModuleNotFoundError as error:
        if (error.name or "capsexp").partition(".")[0] == "capsexp":
            raise
        sys.exit(
            f"capsexp: {error.name} is not installed for {sys.executable}; activate the environment that capsexp was "
            "installed into (source .venv/bin/activate), or install it: pip install -e ."
        )
    entry()


if __name__ == "__main__":
    main()
