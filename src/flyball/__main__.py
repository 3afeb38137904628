"""`python -m flyball`."""

from flyball.cli import main

main()
