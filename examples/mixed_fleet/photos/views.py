"""The views: one enqueues for Go, one shows what became of it, one cancels it."""

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from photos.models import Photo
from photos.tasks import MAKE_THUMBNAIL, QUEUE_OF_GO
from taskflow.contrib.django import get_app


@csrf_exempt  # so that curl can try it
@require_POST
def upload(request: HttpRequest) -> JsonResponse:
    photo = Photo.objects.create(src=request.POST["src"])
    # By name: no function of this project runs it. Inside a transaction, Go might be quicker than the commit.
    handle = get_app().send_task(
        MAKE_THUMBNAIL,
        kwargs={"photo": photo.pk, "src": photo.src, "width": 200},
        queue=QUEUE_OF_GO,
        timeout=30,
        max_retries=3,
    )
    Photo.objects.filter(pk=photo.pk).update(task=handle.id)
    return JsonResponse({"photo": photo.pk, "where": reverse("show", args=[photo.pk])}, status=202)


@require_GET
def show(request: HttpRequest, photo_id: int) -> JsonResponse:
    photo = get_object_or_404(Photo, pk=photo_id)
    handle = get_app().result(photo.task, queue=QUEUE_OF_GO)
    state = handle.state
    result = handle.get() if state == "completed" else None
    return JsonResponse({"state": state, "result": result, "thumbnail": photo.thumbnail})


@csrf_exempt
@require_POST
def cancel(request: HttpRequest, photo_id: int) -> JsonResponse:
    photo = get_object_or_404(Photo, pk=photo_id)
    return JsonResponse({"cancel": get_app().result(photo.task, queue=QUEUE_OF_GO).cancel()})
