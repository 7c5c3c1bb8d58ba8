"""The console command `facecom`: see `facecom/commands/main.py`."""

from facecom import signals


def main() -> None:
    signals.end_in_one_line()  # while the rest is imported
    from facecom.commands.main import main as run

    run(last=True)


if __name__ == "__main__":
    main()
