"""The command `byhand`, and `python -m byhand`: the door to `byhand.cli`, which takes a moment to come. Whoever has
second thoughts in that moment gets one sentence too."""

import json
import signal
import sys


def main() -> None:
    """Run the command."""
    try:
        from byhand.cli import main as command

        command()
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            print(json.dumps({"version": 1, "error": "interrupted.", "exit_code": 130}))
        print("byhand: interrupted.", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and done; Python is only tidying up


if __name__ == "__main__":
    main()
