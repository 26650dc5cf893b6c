"""What Django's admin finds by itself: the pages of queues, tasks and workers."""

from __future__ import annotations

from django.contrib import admin

from .admin_pages.register import register

register(admin.site)
