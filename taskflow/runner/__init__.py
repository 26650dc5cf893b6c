"""The child process that owns the user's code: it imports the app, runs tasks, decides outcomes, and commits
nothing.
"""
