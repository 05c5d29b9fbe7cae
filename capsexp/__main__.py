import sys

from capsexp.errors import not_installed


def main() -> None:
    """The console script, too."""
    try:
        from capsexp.cli import entry
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if not (said := not_installed(error)):
            raise
        sys.exit(f"capsexp: {said}")
    entry()


if __name__ == "__main__":
    main()
