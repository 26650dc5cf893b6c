"""One call of each task, under ids that one can type."""

from tasks import app, book, charge, fetch, import_rows, invoice, ping, report, ship

from taskflow import AsyncResult


def main() -> None:
    """Enqueue them together."""
    placed: list[AsyncResult] = []
    with app.batch():
        placed += [
            charge.options(task_id="charge-1").delay(13),
            charge.options(task_id="charge-2").delay(14),
            ship.options(task_id="ship-1").delay(1),
            fetch.options(task_id="fetch-1").delay(1),
            ping.options(task_id="ping-1").delay("warehouse"),
            book.options(task_id="book-1").delay(1),
            invoice.options(task_id="invoice-1").delay("monday"),
            import_rows.options(task_id="import-1").delay(100),
            report.options(task_id="running").delay(2000),
            report.options(task_id="waiting", delay=600).delay(2000),
        ]
    placed.append(app.send_task("email:deliver", kwargs={"user_id": 42}, queue="mail", task_id="email-1"))
    for one in placed:
        print(one.queue, one.id)


if __name__ == "__main__":
    main()
