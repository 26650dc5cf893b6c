"""The table of the outbox. Queues, tasks and workers have none: they are in the broker."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]

    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name='Queue',
            fields=[
                ('id', models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                'verbose_name': 'queue',
                'managed': False,
                'default_permissions': ('view', 'change', 'delete'),
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Task',
            fields=[
                ('id', models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                'verbose_name': 'task',
                'permissions': (('run_task', 'Can run task now'), ('view_task_arguments', 'Can view arguments and results of tasks')),
                'managed': False,
                'default_permissions': ('view', 'change', 'delete'),
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.CharField(max_length=255, primary_key=True, serialize=False)),
            ],
            options={
                'verbose_name': 'worker',
                'managed': False,
                'default_permissions': ('view',),
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='OutboxRow',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='called at')),
                ('name', models.TextField(verbose_name='task')),
                ('queue', models.CharField(max_length=255)),
                ('task_id', models.CharField(max_length=255, verbose_name='task id')),
                ('ready', models.BinaryField(verbose_name='message')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='deliveries that failed')),
                ('retry_at', models.DateTimeField(blank=True, null=True, verbose_name='not delivered before')),
                ('failed_at', models.DateTimeField(blank=True, null=True, verbose_name='given up at')),
                ('error', models.TextField(blank=True, default='', verbose_name='last error')),
            ],
            options={
                'verbose_name': 'call in the outbox',
                'verbose_name_plural': 'outbox',
                'db_table': 'taskflow_outbox',
                'default_permissions': ('view', 'change', 'delete'),
                'indexes': [models.Index(fields=['failed_at', 'retry_at', 'id'], name='taskflow_outbox_next')],
            },
        ),
    ]
