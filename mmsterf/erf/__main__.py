"""`python -m mmsterf.erf`"""

from .command import main

main()
