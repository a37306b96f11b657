"""What holds for every property test: none is judged by the clock, which says nothing on a busy machine."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
