"""What the exit codes of every `recon` command mean: bad data and a broken check are never the same number."""

from typing import Final

RECONCILED: Final = 0
DISCREPANCIES: Final = 1  # of severity error or above
WRONG_USE: Final = 2  # of the command, or a wrong configuration
BROKEN: Final = 3  # some part could not be judged
