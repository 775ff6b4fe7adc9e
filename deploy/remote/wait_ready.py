"""`python wait_ready.py PORT SECONDS`, on a host: ends with status 0 when the copy there is ready, 1 with its last problem.

Standard library only; run by the release's own Python.
"""

import sys
import time
import urllib.error
import urllib.request

POLL_SECONDS = 0.2


def main(port: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    problem = "it does not answer"
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return 0
        except urllib.error.HTTPError as error:
            problem = error.read().decode(errors="replace")
        except OSError as error:
            problem = f"it does not answer: {error}"
        if time.monotonic() > deadline:
            print(problem)
            return 1
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
