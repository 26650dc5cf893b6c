"""Tests that say what a *first* send gets, or count calls: under faults their commands are sent again, rightly with other
replies. They run without faults. That every command may be sent again is what tests/properties looks at.
"""

EXACT = {
    "tests/commands/test_transitions.py": "each test is the reply of one send",
    "tests/commands/test_sweep.py": "each test is the reply of one send",
    "tests/commands/test_inspect_commands.py": "each test is the reply of one send",
    "tests/commands/test_aggregate.py": "each test is the reply of one send",
    "tests/commands/test_result.py::TestGet::test_a_waiter_is_woken": "a lost subscription costs a look; here looks are rare",
    "tests/commands/test_result.py::TestGet::test_a_coroutine_is_woken": "a lost subscription costs a look; here looks are rare",
    "tests/inspector/test_tasks.py::test_an_illegal_order_names_the_state": "the second order is no re-send of the first",
    "tests/inspector/test_queues.py::test_all_queues_come_sorted_with_one_pipeline": "counts pipelines",
    "tests/inspector/test_tasks.py::test_orders_for_a_whole_state": "a re-sent step counts what the first copy left",
    "tests/interop/test_inspector_on_go.py::test_every_state_of_gos_is_read_and_moved": "counts what whole states moved",
    "tests/interop/test_inspector_on_go.py::test_deleting_by_hand_frees_the_lock_of_gos_grouped_task": "counts what it deleted",
    "tests/cli/test_task_cli.py::test_orders_for_a_state": "counts what whole states moved",
}
"""Node ids, or how they begin, and why."""
