"""`python -m spanish_tok` is `spanish-tok`."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C ends it in one line while it is imported, too."""
    try:
        from spanish_tok.cli import main
    except KeyboardInterrupt:
        print("spanish-tok: Interrupted. Nothing was begun.", file=sys.stderr)
        sys.exit(130)
    main(prog_name="spanish-tok")


if __name__ == "__main__":
    run()
