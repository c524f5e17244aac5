"""Circuit against a naive model of it: any order of admissions, verdicts, events, waits and interventions."""

from __future__ import annotations

from hypothesis import settings

from support.circuit_model import Model

TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=60, deadline=None, database=None)
