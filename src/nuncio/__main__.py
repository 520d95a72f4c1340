"""`python -m nuncio` is the command `nuncio`."""

from nuncio.cli import main

if __name__ == "__main__":
    main()
