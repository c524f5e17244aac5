"""docs/health.md against the code: no field and no metric is missing, and none is made up."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

from mainstay.middleware import Health, HealthChange
from mainstay.pipeline import Reply, Stack
from mainstay.providers import WebhookAlert
from mainstay.providers.prometheus import as_prometheus

PAGE = (Path(__file__).parents[2] / "docs" / "health.md").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of the table that begins with this title, without what is not code in the first two."""
    table = re.search(rf"^\| {title} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table, title
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]


def test_the_table_of_fields_has_every_field_in_order() -> None:
    stack = Stack([], lambda request: Reply("x"), observers=[Health()])
    (entry,) = stack.status().values()
    told = rows("field")
    assert [row[0] for row in told] == list(entry)
    assert all(row[1] for row in told)


def test_the_docstring_has_every_field() -> None:
    assert Health.status.__doc__
    stack = Stack([], lambda request: Reply("x"), observers=[Health()])
    for field in next(iter(stack.status().values())):
        assert f"`{field}`" in Health.status.__doc__


def test_the_fields_of_a_change_are_listed_in_order() -> None:
    listed = re.search(r"`HealthChange` \((.*?)\)", PAGE, re.DOTALL)
    assert listed
    assert re.findall(r"`(\w+)`", listed[1]) == [field.name for field in dataclasses.fields(HealthChange)]


def test_the_table_of_metrics_has_every_metric_with_its_type_and_labels() -> None:
    health = Health()
    health.probed("a", 1.0)
    text = as_prometheus(health.status(Stack([], lambda request: Reply("x"), observers=[health])))
    types = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    assert [(row[0], row[1]) for row in rows("metric")] == types
    for name, _, labels in rows("metric"):
        found = re.search(rf"^{name}{{route=\"[^\"]*\"(?:,(\w+)=)?", text, re.MULTILINE)
        assert found is None or (found[1] or "") == labels, name


def test_the_options_of_a_webhook_have_their_defaults() -> None:
    real = list(inspect.signature(WebhookAlert).parameters.values())[1:]
    assert [(row[0], row[1]) for row in rows("of `WebhookAlert`")] == [(one.name, repr(one.default)) for one in real]
