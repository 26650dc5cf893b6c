"""The outcome of a run, for people: tables on the terminal, a page and a picture for the docs."""
