"""The children: started, given tasks, watched, replaced."""
