"""Two million tasks, with every connection cut again and again: nothing grows, nothing stays, nothing is lost.

    python -m tests.soak                                   # or `tox -e soak`: two million tasks, 6 to 30 minutes
    TASKFLOW_SOAK_TASKS=20000 python -m tests.soak         # every setting of `settings.py` is a variable
    TASKFLOW_SOAK_LEAK=worker python -m tests.soak         # with a planted leak of 20 bytes a task: ends with 1

One client, one worker and two children of 20 slots; tasks that end well, fail, fail twice, are cancelled, keep a result or are
100 kB big. Every few seconds all connections are cut, while the client enqueues, the worker takes and finishes, and somebody
waits. 32 times in the run everything comes to rest, and each process is looked at from outside.

What must hold:

* Memory: in the second half the slope of what each process holds at rest comes to less than 1.5 MiB. A leak of 20 bytes a task
  comes to 19 MiB in the worker, which sees every task, and to 9.5 MiB in each child. The first million is for getting warm: a
  worker whose connections are cut comes to rest a little higher until then.
* Open files and threads: the least of the fourth quarter over the least of the third at most 5, the idle connections of the
  moment. One of each leaked by every cut would be more.
* Keys: none without an end that was not there before, and DBSIZE is back.
* Tasks: a verdict for each, and none twice but where a cut-off batch was sent again.

Memory is judged with glibc's thread caches off, see `ALLOCATOR` in `settings.py`: with them children of 24 threads grew by 3 MiB
in half a million tasks, ever slower, while Python held as many objects as before. The figures are in `docs/reliability.md`; the
short form and the planted leaks are part of the everyday suite.
"""
