"""Make the database, and a user for each permission: `admin` may do all, `nobody` is staff and may do nothing."""

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import Permission, User  # noqa: E402

User.objects.create_superuser("admin", "admin@example.com", "secret")
User.objects.create_user("nobody", password="secret", is_staff=True)
for permission in Permission.objects.filter(content_type__app_label="taskflow"):
    user = User.objects.create_user(permission.codename, password="secret", is_staff=True)
    user.user_permissions.add(permission)
    # What may be done from pages takes who may see them.
    if (
        not permission.codename.startswith(("view_queue", "view_task", "view_worker"))
        or "_arguments" in permission.codename
    ):
        model = permission.content_type.model
        user = User.objects.create_user(f"{permission.codename}+view", password="secret", is_staff=True)
        user.user_permissions.add(permission, Permission.objects.get(codename=f"view_{model}"))
