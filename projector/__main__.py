"""`python -m projector`."""

from projector.cli import main

if __name__ == "__main__":  # a rebuild's processes import this module again
    main()
