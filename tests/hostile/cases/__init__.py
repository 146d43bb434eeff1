"""Every hostile input, by kind; a new module of cases is added here."""

from tests.hostile.cases import anndata, config, content, elsewhere, forms, stages

CASES = [*config.CASES, *forms.CASES, *anndata.CASES, *elsewhere.CASES, *content.CASES, *stages.CASES]
