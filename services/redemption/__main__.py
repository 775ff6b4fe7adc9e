"""`python -m services.redemption`: runs one copy of the service."""

from services.redemption.app import main

if __name__ == "__main__":
    main()
