"""How a check says that a result is wrong."""


class WrongResult(Exception):
    """A contender computes something else."""


def expect(condition, what):
    if not condition:
        raise WrongResult(what)
