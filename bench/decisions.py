"""`python -m bench.decisions`: what deciding about a request costs, kept from before and made anew.

Beside it the time of checking the request's signature once its key is known, which every request costs as well.
"""

import hmac
import json
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from pyrite.core.clock import SystemClock
from pyrite.iam.caller import Caller
from pyrite.iam.evaluate import Question, decide
from pyrite.iam.policy import Use, parse_policy
from pyrite.objects.buckets import Bucket
from pyrite.objects.records import BucketRecord
from pyrite.s3.access import Access
from pyrite.s3.compat import PRESETS

ROUNDS, CALLS = 21, 5000
OWNER, ACCOUNT = "c" * 64, "1" * 12
_SIGNED = b"AWS4-HMAC-SHA256\n20261125T000000Z\n20261125/us-east-1/s3/aws4_request\n" + b"a" * 64


class Owners:
    """Everything belongs to one account."""

    async def account_of(self, owner: str) -> str:
        return ACCOUNT


def caller_with(statements: int) -> Caller:
    """A user whose last statement of so many is the one that allows."""
    others = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::b{n}/*"} for n in range(statements - 1)
    ]
    allows = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::bench/*"}
    policy = parse_policy(json.dumps({"Statement": [*others, allows]}), Use.IDENTITY)
    return Caller(kind="User", access_key="AKIA", account=ACCOUNT, owner=OWNER, policies=(policy,))


def median_us(call: Callable[[], object]) -> float:
    """The median of what a call takes, over rounds of many."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(CALLS):
            call()
        rounds.append((time.perf_counter() - begun) / CALLS * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Measure and print."""
    bucket = Bucket(1, BucketRecord(1, 1, "bench", OWNER, 0), 1)
    access = Access(None, None, Owners(), SystemClock(), "us-east-1", PRESETS["aws"])  # type: ignore[arg-type]
    key = b"k" * 32
    signature = median_us(lambda: hmac.compare_digest(hmac.digest(key, _SIGNED, "sha256").hex(), "0" * 64))
    table = Table("", "µs", "of a signature's check", box=None)
    table.add_row("a signature's check", f"{signature:.2f}", "1.0")
    for statements in (1, 20):
        caller = caller_with(statements)
        question = Question("s3:GetObject", "arn:aws:s3:::bench/some/key", {}, OWNER, ACCOUNT)
        kept = median_us(lambda caller=caller: access.allows_quickly(caller, bucket, "s3:GetObject"))  # type: ignore[misc]
        made = median_us(lambda caller=caller, question=question: decide(caller, question))  # type: ignore[misc]
        for name, took in ((f"kept, {statements} statements", kept), (f"made anew, {statements} statements", made)):
            table.add_row(name, f"{took:.2f}", f"{took / signature:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
