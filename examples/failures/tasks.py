"""A task that fails, for one reason or another."""

from taskflow import TaskFlow

app = TaskFlow("payments", failure_retention=14 * 86400)  # failed ones are kept for two weeks


class PaymentError(Exception):
    """The gateway says no."""


def ask_gateway(card: int) -> str:
    if card == 13:
        raise PaymentError(f"card {card} declined")
    if card < 0:
        raise ValueError("no such card")
    return f"card {card} charged"


@app.task(queue="orders", retention=600, max_retries=1, default_retry_delay=0.1)
def charge(card: int) -> str:
    return ask_gateway(card)
