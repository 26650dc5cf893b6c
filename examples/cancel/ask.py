"""Cancel what waits, what runs, and all that match."""

import time

from tasks import app, export, report

from taskflow.errors import TaskFailed

waits = report.options(delay=3600).delay(1)
print("waits:", waits.cancel().value, waits.status)

runs = export.delay(2)
while not runs.info().progress:
    time.sleep(0.05)
print("runs:", runs.cancel().value)
try:
    runs.get(timeout=30)
except TaskFailed as error:
    print("ended:", error.text.split()[0], runs.status)

for customer in range(3, 6):
    report.options(delay=3600, headers={"customer": "big"}).delay(customer)
counts = app.cancel(name="tasks.report", headers={"customer": "big"})
print("all of one customer:", counts.cancelled)
print("again:", waits.cancel().value)
