"""The ways of asking, by name. Adding one takes a module here, a jsPsych plugin, and a line in this registry."""

from __future__ import annotations

from elicitation.interfaces import categorical, construct, distribution, infer, select_shuffled
from elicitation.interfaces.base import Interface
from hilmix.errors import Invalid

INTERFACES: dict[str, Interface] = {
    infer.NAME: infer,
    select_shuffled.NAME: select_shuffled,
    construct.NAME: construct,
    categorical.NAME: categorical,
    distribution.NAME: distribution,
}


def interface_named(name: str) -> Interface:
    """The interface called `name`.

    Raises:
        Invalid: there is none; the message lists those there are.
    """
    try:
        return INTERFACES[name]
    except KeyError:
        raise Invalid(f"There is no interface {name!r}; there is {', '.join(sorted(INTERFACES))}.") from None
