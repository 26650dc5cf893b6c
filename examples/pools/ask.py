"""Calls the tasks, and says where each has run."""

from tasks import ask, count_primes, fetch, hang

thread, coroutine = fetch.delay(0.2), ask.delay(0.2)
computing = [count_primes.delay(20_000) for _ in range(4)]
hanging = hang.delay(60)

in_thread, on_loop = thread.get(timeout=30), coroutine.get(timeout=30)
computed = [handle.get(timeout=30) for handle in computing]
pids = [found["pid"] for found in computed]
print("a thread and a coroutine share a process:", in_thread["pid"] == on_loop["pid"])
print("computing is elsewhere:", in_thread["pid"] not in pids)
print("in a main thread:", in_thread["main thread"], {found["main thread"] for found in computed})
print("primes:", {found["primes"] for found in computed})
print("no process computed more than twice:", max(pids.count(pid) for pid in pids) <= 2)
print("hang:", hanging.get(timeout=30))
