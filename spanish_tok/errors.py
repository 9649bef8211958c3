"""The one error type of the package: what was wrong, and what to do about it."""


class SpanishTokError(Exception):
    """Wrong input, a damaged file, an impossible option: something the user can act on.

    The command line prints it as one line and exits with status 2.

    >>> str(SpanishTokError("es.parquet is empty", "Give a file with at least one record."))
    'es.parquet is empty. Give a file with at least one record.'
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        self.problem = problem.rstrip(".")
        self.advice = advice
        super().__init__(problem, advice)

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}".strip()
