"""Two tasks of this service. A third, `invoices:print`, is one of another service, whose code is not here."""

from dataclasses import dataclass

from taskflow import TaskFlow

app = TaskFlow("results", retention=600)


@dataclass
class Parcel:
    number: int
    weight: float


@app.task(queue="parcels")
def weigh(number: int) -> Parcel:
    return Parcel(number, number / 10)


@app.task(queue="letters", max_retries=0)
def stamp(value: int) -> int:
    if value > 100:
        raise ValueError("there is no such stamp")
    return value
