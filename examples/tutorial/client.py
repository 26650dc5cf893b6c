"""Put the tutorial's three tasks into their queues; with --wait, wait for what becomes of them."""

import sys

from tasks import email, resize, sync

results = [
    email.delay(to=123, from_=456),
    sync.delay(data=123),
    resize.delay("some/path/to/image"),
]
for result in results:
    print(f"enqueued {result}")

if "--wait" in sys.argv:
    for result in results:
        print(f"{result.queue}: {result.get(timeout=60)!r}")
