"""`python -m services.ranking`: runs one copy of the service."""

from services.ranking.app import main

if __name__ == "__main__":
    main()
