"""Settings of every test, doctests included."""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)  # first calls compile; the same cases every run
settings.load_profile("steady")
