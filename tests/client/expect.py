"""What the scripts share: what must hold, and what must be refused."""

import os

RATES = os.environ["RATES"]
ASSETS = os.environ["ASSETS"]


def same(found, expected, what=""):
    assert found == expected, f"{what}: {found!r} is not {expected!r}"


def refused(kinds, call, *arguments, **named):
    """Call something that the server refuses; what it says."""
    try:
        answer = call(*arguments, **named)
    except kinds as error:
        return str(error)
    raise AssertionError(f"{call} was not refused, but answered {answer!r}")


def done():
    # The client leaves threads behind that wait for nothing.
    print("as expected", flush=True)
    os._exit(0)
