"""The pages of the admin for queues, tasks and workers. See docs/django-admin.md.

Example:
    >>> from taskflow.contrib.django.admin_pages import register         # doctest: +SKIP
    >>> register(my_site)                                                # doctest: +SKIP
"""
