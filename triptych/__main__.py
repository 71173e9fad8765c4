"""The command `triptych`, and `python -m triptych`."""

import sys

from triptych.own_packages import drop_current_folder, find_shadow


def main() -> None:
    """Run the command line, unless something takes the place of one of its packages."""
    drop_current_folder()
    if message := find_shadow():
        sys.stderr.write(f"error: {message}\n")
        raise SystemExit(2)
    from search.cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
