"""Tests that say what a *first* send gets, or count calls: under faults their commands are sent again, rightly with other
replies. They run without faults. That every command may be sent again is what tests/properties looks at.
"""

EXACT = {
    "tests/commands/test_transitions.py": "each test is the reply of one send",
    "tests/commands/test_outbox.py": "each test is the reply of one send",
    "tests/cli/test_task_cli.py::test_cancel_tells_the_workers": "counts what is published; sent again, it is published again",
    "tests/commands/test_sweep.py": "each test is the reply of one send",
    "tests/commands/test_aggregate.py": "each test is the reply of one send",
    "tests/commands/test_result.py::TestGet::test_a_waiter_is_woken": "a lost subscription costs a look; here looks are rare",
    "tests/commands/test_result.py::TestGet::test_a_coroutine_is_woken": "a lost subscription costs a look; here looks are rare",
    "tests/commands/test_bounded.py::test_a_call_deletes_a_hundred": "sent again, a call says what its repetition deleted",
    "tests/lifecycle/test_running.py::test_strict_order": "a queue that cannot be asked lets the next one have a turn",
    "tests/commands/test_loops.py::test_loops_of_two_threads": "counts connections, and one that breaks is replaced",
    "tests/cluster/test_partitions.py::test_tasks_go_round": "what may have run on a node that dies waits for its replica",
    "tests/commands/test_closed.py": "counts first sends and repetitions",
    "tests/inspector/test_queues.py::test_all_queues_come_sorted_with_one_pipeline": "counts pipelines",
}
"""Node ids, or how they begin, and why."""
