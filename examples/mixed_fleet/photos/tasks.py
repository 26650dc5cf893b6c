"""The tasks that Django's worker runs. Go enqueues them by name and queue, with an object of the parameters."""

from photos.models import Photo
from taskflow import Reject, shared_task

QUEUE = "photos"
MAKE_THUMBNAIL = "thumbnails:make"  # runs in Go, in a queue of its own
QUEUE_OF_GO = "thumbnails"


@shared_task(name="photos:publish", queue=QUEUE)
def publish(photo: int, path: str) -> None:
    """Enqueued by Go's worker when it has made a thumbnail. A second run does no harm."""
    Photo.objects.filter(pk=photo).update(thumbnail=path)


@shared_task(name="photos:describe", queue=QUEUE)
def describe(photo: int) -> dict[str, str]:
    """Enqueued by Go, which reads the result. The limits are Go's: they travel with the call."""
    found = Photo.objects.filter(pk=photo).first()
    if found is None:
        raise Reject(f"there is no photo {photo}")  # or it would be tried again, as often as Go's call allows
    return {"src": found.src, "thumbnail": found.thumbnail}
