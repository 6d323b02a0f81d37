"""`python -m onefold`: the `onefold` command, also where its script is not on the path."""

from onefold.cli import main

if __name__ == "__main__":
    main()
