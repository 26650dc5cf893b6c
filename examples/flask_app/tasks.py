"""The tasks, and the app that they belong to. They know nothing of Flask."""

from taskflow import TaskFlow

app = TaskFlow("flask-app", retention=3600)


@app.task(queue="text")
def count_words(text: str) -> int:
    return len(text.split())
