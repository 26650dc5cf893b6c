"""A task of a library, which knows no app."""

from taskflow import shared_task


@shared_task(ignore_result=False)
def count_words(text):
    return len(text.split())
