"""How tasks are taken: which queue is asked, when, for how many, and what becomes of what came."""
