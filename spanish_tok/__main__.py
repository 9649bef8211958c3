"""`python -m spanish_tok` is `spanish-tok`."""

from spanish_tok.cli import main

main(prog_name="spanish-tok")
