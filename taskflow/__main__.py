"""`python -m taskflow`: the command, also where its script is not on PATH."""

from .cli.main import main

main(prog_name="taskflow")
