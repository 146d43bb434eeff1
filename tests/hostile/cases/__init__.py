"""Every hostile input, by kind; a new module of cases is added here."""

from tests.hostile.cases import config, content, forms, stages

CASES = [*config.CASES, *forms.CASES, *content.CASES, *stages.CASES]
