"""What computes the golden functions, by subject; importing a module registers its functions."""

from tests.golden.functions import (  # noqa: F401
    cdda,
    depth,
    hrda,
    labels,
    losses,
    mixing,
    networks,
    optimisation,
    pipelines,
    raw_labels,
    sampling,
    scores,
    steps,
)
