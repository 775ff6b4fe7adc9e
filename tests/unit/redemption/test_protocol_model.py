"""The protocol holds in every order of events that a small world allows, and breaks when any one rule is taken out."""

import pytest

from tests.unit.redemption.protocol_model import Model, Rule

ALL = frozenset(Rule)


def test_with_all_rules_nothing_goes_wrong() -> None:
    assert Model(ALL, mishaps=2).broken_by() is None


@pytest.mark.parametrize("rule", list(Rule), ids=lambda rule: rule.name.lower())
def test_each_rule_is_needed(rule: Rule) -> None:
    problem = Model(ALL - {rule}, mishaps=2).broken_by()
    assert problem is not None, f"nothing goes wrong without {rule.name}"
