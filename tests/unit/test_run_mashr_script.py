"""scripts/run_mashr.R: its tables, options, fall-backs and refusals.

Most tests run the script against a *stub* of the R package mashr, built here in a temporary folder:
functions of the same names, with a trivial normal posterior. The stub is there for the script's
plumbing (what is read, handed over, written, refused). It says nothing about mash's numbers; the
last tests, which run where the real mashr is installed, do.
"""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fatewalk import mash
from fatewalk.calls.shrink import read_mash_of_r
from fatewalk.core.files import read_json

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "run_mashr.R"
RSCRIPT = shutil.which("Rscript")

pytestmark = pytest.mark.skipif(RSCRIPT is None, reason="Rscript is not on the PATH")

# V of 100 genes x 4 days estimated by mashr, and what regularisation (nearest correlation,
# eigenvalue floor 1e-6, 5 % shrinkage to the identity) makes of it.
V_RAW = [
    [1, 0.51162373848123677, 0.33967345830852258, 0.58542406052027474],
    [0.51162373848123688, 1, 0.50457786768618851, 0.66580798439946165],
    [0.33967345830852264, 0.50457786768618851, 1, 0.67739284058033411],
    [0.58542406052027474, 0.66580798439946165, 0.67739284058033422, 1],
]
V_REGULARISED = [
    [1.0, 0.48604255155717563, 0.32268978539309728, 0.55615285749426147],
    [0.48604255155717563, 1.0, 0.47934897430187834, 0.63251758517948897],
    [0.32268978539309745, 0.47934897430187845, 1.0, 0.64352319855131712],
    [0.55615285749426147, 0.63251758517948897, 0.64352319855131701, 1.0],
]

STUB = r"""
# A stub for the script's plumbing, not mash: posterior = betahat / (1 + se^2) whatever the prior.
# STUB_FAIL names what fails; STUB_LOG is the folder that records what mash() was given.
failing <- function(what) what %in% strsplit(Sys.getenv("STUB_FAIL"), " ")[[1]]
mash_set_data <- function(Bhat, Shat, V = diag(ncol(Bhat))) {
  stopifnot(is.matrix(Bhat), identical(dim(Bhat), dim(Shat)), !anyNA(Bhat), all(Shat > 0))
  stopifnot(is.matrix(V), ncol(V) == ncol(Bhat))
  chol(V)
  list(Bhat = Bhat, Shat = Shat, V = V)
}
cov_canonical <- function(data) {
  D <- ncol(data$Bhat)
  single <- lapply(seq_len(D), function(d) diag(as.numeric(seq_len(D) == d), D))
  names(single) <- colnames(data$Bhat)
  c(list(identity = diag(D)), single, list(equal_effects = matrix(1, D, D)))
}
estimate_null_correlation_simple <- function(data, z_thresh = 2) {
  z <- data$Bhat / data$Shat
  null <- which(apply(abs(z), 1, max) < z_thresh)
  if (length(null) < ncol(z)) stop("not enough null data to estimate null correlation")
  cov2cor(cov(z[null, ]))
}
mash_1by1 <- function(data)
  list(result = list(lfsr = 2 * pnorm(-abs(data$Bhat / data$Shat))))
get_significant_results <- function(m, thresh = 0.05)
  which(apply(m$result$lfsr, 1, min) < thresh)
cov_pca <- function(data, npc, subset = NULL) {
  stopifnot(npc > 1, npc <= ncol(data$Bhat), npc <= length(subset))
  U <- rep(list(diag(ncol(data$Bhat))), npc + 1)
  names(U) <- c(paste0("PCA_", seq_len(npc)), "tPCA")
  U
}
cov_ed <- function(data, Ulist_init, subset = NULL) {
  if (failing("ed")) stop("deconvolution broke\n down")
  if (failing("ed_nan")) Ulist_init[[1]][1, 1] <- NaN
  writeLines(sprintf("%.12f", runif(1)), file.path(Sys.getenv("STUB_LOG"), "random.txt"))
  names(Ulist_init) <- paste0("ED_", names(Ulist_init))
  Ulist_init
}
mash <- function(data, Ulist, prior, nullweight, verbose) {
  identity_V <- identical(data$V, diag(ncol(data$Bhat)))
  if (failing("always") || (failing("with_V") && !identity_V)) stop("chol(): decomposition failed")
  log <- Sys.getenv("STUB_LOG")
  if (nzchar(log)) {
    write.csv(data$Bhat, file.path(log, "Bhat.csv"), row.names = FALSE)
    write.csv(data$Shat, file.path(log, "Shat.csv"), row.names = FALSE)
    writeLines(c(prior, nullweight, names(Ulist)), file.path(log, "call.txt"))
  }
  pm <- data$Bhat / (1 + data$Shat^2)
  if (failing("nan") && !identity_V) pm[1, 1] <- NaN
  psd <- data$Shat / sqrt(1 + data$Shat^2)
  lfsr <- pnorm(-abs(pm) / psd) - 1e-16 * (data$Bhat > 50) # real mashr goes below 0 too
  pi <- rep(1 / (2 * length(Ulist) + 1), 2 * length(Ulist) + 1)
  g <- list(pi = pi, Ulist = Ulist, grid = c(0.5, 1), usepointmass = TRUE)
  result <- list(PosteriorMean = pm, PosteriorSD = psd, lfsr = lfsr)
  list(result = result, loglik = -1.25, fitted_g = g)
}
get_pm <- function(m) m$result$PosteriorMean
get_psd <- function(m) m$result$PosteriorSD
get_lfsr <- function(m) m$result$lfsr
get_loglik <- function(m) m$loglik
get_estimated_pi <- function(m, dimension = c("cov", "grid", "all")) {
  names <- names(m$fitted_g$Ulist)
  pi <- m$fitted_g$pi
  if (match.arg(dimension) == "all")
    return(setNames(pi, c("null", paste0(names, ".1"), paste0(names, ".2"))))
  setNames(c(pi[1], rowSums(matrix(pi[-1], length(names)))), c("null", names))
}
"""
DESCRIPTION = """Package: mashr
Version: 0.0.1
Title: Stub for Tests
Description: A stub of mashr for the plumbing of a script, with no statistics in it.
License: none
Author: tests
Maintainer: tests <tests@example.org>
Imports: stats, utils
"""


@pytest.fixture(scope="session")
def stub_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """R library with the stub package mashr."""
    root = tmp_path_factory.mktemp("stub")
    package, library = root / "mashr", root / "library"
    (package / "R").mkdir(parents=True)
    library.mkdir()
    (package / "DESCRIPTION").write_text(DESCRIPTION)
    (package / "NAMESPACE").write_text('import(stats, utils)\nexportPattern("^[a-z]")\n')
    (package / "R" / "stub.R").write_text(STUB)
    install = ["R", "CMD", "INSTALL", "--no-docs", "--no-test-load", f"--library={library}"]
    subprocess.run([*install, str(package)], check=True, capture_output=True)
    return library


@dataclass(frozen=True)
class Run:
    """What one run of the script left."""

    status: int
    stderr: str
    folder: Path

    @property
    def header(self) -> list[str]:
        with (self.folder / "out.csv").open(newline="") as handle:
            return next(csv.reader(handle))

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "out.csv").open(newline="") as handle:
            return list(csv.DictReader(handle))

    @property
    def summary(self) -> dict:
        return json.loads((self.folder / "out.json").read_text())

    def seen_by_mash(self, name: str) -> np.ndarray:
        return np.loadtxt(self.folder / name, delimiter=",", skiprows=1, ndmin=2)  # [n, D]

    def call(self) -> list[str]:
        return (self.folder / "call.txt").read_text().split()


Runner = Callable[..., Run]


def execute(folder: Path, table: str | None, options: dict[str, str], env: dict[str, str]) -> Run:
    if table is not None:
        (folder / "in.csv").write_text(table)
    paths = {"table": "in.csv", "output": "out.csv", "summary": "out.json"}
    given = {name: str(folder / path) for name, path in paths.items()} | {"mode": "conservative"}
    args = [part for name, value in (given | options).items() for part in (f"--{name}", value)]
    assert RSCRIPT is not None
    done = subprocess.run([RSCRIPT, str(SCRIPT), *args], env=os.environ | env, capture_output=True, text=True)
    return Run(done.returncode, done.stderr, folder)


def stub_run(folder: Path, library: Path) -> Runner:
    """A function that runs the script against the stub; V is the identity unless asked for."""

    def runner(table: str | None, fail: str = "", locale: str = "C.UTF-8", **options: str) -> Run:
        env = {"R_LIBS": str(library), "STUB_LOG": str(folder), "STUB_FAIL": fail}
        defaults = {"null_correlation": "identity"}  # the simple estimate loads Matrix: a second
        return execute(folder, table, defaults | options, env | {"LC_ALL": locale})

    return runner


@pytest.fixture
def run(stub_library: Path, tmp_path: Path) -> Runner:
    return stub_run(tmp_path, stub_library)


def simulated(n: int, D: int, n_strong: int = 0, ids: str = "gene", seed: int = 3) -> str:
    """CSV of n rows x D days, the first n_strong with a shared effect of 8 standard errors."""
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.1, 0.3, (n, D)).round(3)  # [n, D]
    noise = 0.7 * rng.standard_normal((n, 1)) + 0.7 * rng.standard_normal((n, D))  # [n, D]
    betahat = (se * noise.clip(-1.9, 1.9)).round(4)  # [n, D]
    betahat[:n_strong] += 8 * se[:n_strong]
    days = range(D)
    lines = [",".join([ids, *(f"betahat_d{d}" for d in days), *(f"se_d{d}" for d in days)])]
    for i in range(n):
        key = f"g{i}" if ids == "gene" else f"g{i}_1,g{i}"
        lines.append(",".join([key, *(f"{x:.4f}" for x in betahat[i]), *(str(x) for x in se[i])]))
    return "\n".join(lines) + "\n"


def set_field(table: str, row: int, column: str, value: str) -> str:
    lines = [line.split(",") for line in table.splitlines()]
    lines[row + 1][lines[0].index(column)] = value
    return "\n".join(",".join(line) for line in lines) + "\n"


# ---- the contract: columns, rows, values --------------------------------------------------------

HANDMADE = """gene,betahat_d0,betahat_d1,se_d0,se_d1,n_cells_d0,n_cells_d1,n_guides,mark
007,0.50,-1.20,0.25,0.5,10,20,4,"a, ""b"" c"
NA,0.75,,0.25,,3,0,4,
ΔΨ,,,,,0,0,2,x
z,-0.5,2,0.5,0.25,7,8,4,NA
"""


@pytest.fixture(scope="module")
def handmade(stub_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    done = stub_run(tmp_path_factory.mktemp("handmade"), stub_library)(HANDMADE, locale="C")
    assert done.status == 0, done.stderr
    return done


def test_output_is_the_input_as_it_stands_plus_the_result_columns(handmade: Run) -> None:
    done = handmade

    assert done.header == [
        *("gene", "betahat_d0", "betahat_d1", "se_d0", "se_d1"),
        *("n_cells_d0", "n_cells_d1", "n_guides", "mark"),
        *("postmean_d0", "postmean_d1", "postsd_d0", "postsd_d1", "lfsr_d0", "lfsr_d1"),
        *("lfsr_min", "best_day"),
    ]
    inputs = list(csv.DictReader(HANDMADE.splitlines()))
    assert [{name: row[name] for name in inputs[0]} for row in done.rows] == inputs


def test_values_come_back_to_the_last_bit(handmade: Run) -> None:
    for row in (handmade.rows[0], handmade.rows[3]):
        for d in (0, 1):
            betahat, se = float(row[f"betahat_d{d}"]), float(row[f"se_d{d}"])
            assert float(row[f"postmean_d{d}"]) == betahat / (1 + se * se)
            assert float(row[f"postsd_d{d}"]) == se / (1 + se * se) ** 0.5


def test_unobserved_gene_days_are_never_called(handmade: Run) -> None:
    done = handmade
    first, partly, never, last = done.rows

    assert partly["postmean_d1"] == partly["postsd_d1"] == partly["lfsr_d1"] == ""
    assert partly["lfsr_min"] == partly["lfsr_d0"] != ""
    assert partly["best_day"] == "d0"
    assert {never[name] for name in done.header[9:]} == {""}
    assert (first["best_day"], last["best_day"]) == ("d1", "d1")
    assert float(last["lfsr_min"]) == min(float(last["lfsr_d0"]), float(last["lfsr_d1"]))
    assert (done.summary["n_rows"], done.summary["n_missing_cells"]) == (4, 3)
    # a missing pair enters as mashr has it
    betahat, se = done.seen_by_mash("Bhat.csv"), done.seen_by_mash("Shat.csv")  # each [n, D]
    np.testing.assert_array_equal(betahat, [[0.5, -1.2], [0.75, 0], [0, 0], [-0.5, 2]])
    np.testing.assert_array_equal(se, [[0.25, 0.5], [0.25, 1e6], [1e6, 1e6], [0.5, 0.25]])


def test_a_day_nobody_was_seen_on_stays_empty_and_leaves_the_rest_of_v(run: Runner) -> None:
    table = simulated(60, 3)
    for i in range(60):
        table = set_field(set_field(table, i, "betahat_d1", ""), i, "se_d1", "")
    done = run(table, null_correlation="simple")

    assert done.status == 0, done.stderr
    assert {row["lfsr_d1"] for row in done.rows} == {""}
    assert {row["best_day"] for row in done.rows} == {"d0", "d2"}
    V = np.array(done.summary["error_correlation"])  # [D, D]
    np.testing.assert_array_equal(V[1], [0, 1, 0])
    assert V[0, 2] > 0.2
    assert "nothing is observed on d1" in done.stderr


def test_equal_lfsr_gives_the_first_day_and_lfsr_is_never_below_zero(run: Runner) -> None:
    table = "gene,betahat_d0,betahat_d1,se_d0,se_d1\na,1,1,1,1\nb,99,2,1,1\n"
    rows = run(table).rows

    assert rows[0]["best_day"] == "d0"
    assert float(rows[1]["lfsr_d0"]) == 0.0


def test_guide_tables_are_keyed_by_guide(run: Runner) -> None:
    table = simulated(40, 2, ids="guide,gene").replace("g1_1,g1,", "g1_1,g0,")
    done = run(table)

    assert done.status == 0, done.stderr
    assert done.header[:2] == ["guide", "gene"]
    assert [row["gene"] for row in done.rows][:2] == ["g0", "g0"]


def test_days_are_in_number_order_whatever_the_order_of_the_columns(run: Runner) -> None:
    header = [f"{kind}_d{d}" for d in reversed(range(11)) for kind in ("se", "betahat")]
    lines = [
        ",".join([f"g{i}", *("1" if name[0] == "s" else name.split("d")[1] for name in header)])
        for i in range(3)
    ]
    done = run("\n".join([",".join(["gene", *header]), *lines]))

    assert done.status == 0, done.stderr
    np.testing.assert_array_equal(done.seen_by_mash("Bhat.csv")[0], np.arange(11))
    assert [name for name in done.header if name.startswith("postmean")] == [
        f"postmean_d{d}" for d in range(11)
    ]


# ---- standard errors, modes, covariances --------------------------------------------------------


def test_standard_errors_are_inflated_then_floored(run: Runner) -> None:
    table = "gene,betahat_d0,se_d0\na,1,0.1\nb,1,0.4\n"
    done = run(table, se_inflate="1.5", se_floor="0.2")

    np.testing.assert_allclose(done.seen_by_mash("Shat.csv")[:, 0], [0.2, 0.6], rtol=1e-12)
    assert [row["se_d0"] for row in done.rows] == ["0.1", "0.4"]


def test_conservative_is_nullbiased_and_canonical(run: Runner) -> None:
    done = run(simulated(80, 4, n_strong=30))

    single = [f"betahat_d{d}" for d in range(4)]
    canonical = ["identity", *single, "equal_effects"]
    assert done.call() == ["nullbiased", "10", *canonical]
    assert list(done.summary["covariances"]) == canonical
    assert list(done.summary["pi_by_covariance"]) == ["null", *canonical]
    assert done.summary["prior"] == "nullbiased"
    assert done.summary["n_strong"] is None
    assert "cov" not in done.stderr


def test_enriched_is_uniform_with_covariances_of_the_strong_rows(run: Runner) -> None:
    done = run(simulated(80, 4, n_strong=30), mode="enriched", n_pcs="2")

    assert done.call()[0] == "uniform"
    assert list(done.summary["covariances"])[-3:] == ["ED_PCA_1", "ED_PCA_2", "ED_tPCA"]
    assert done.summary["n_strong"] == 30
    # R's first uniform number after set.seed(1)
    assert (done.folder / "random.txt").read_text().strip() == "0.265508663142"
    assert sum(done.summary["pi"].values()) == pytest.approx(1)


def test_no_more_components_than_days_less_one(run: Runner) -> None:
    done = run(simulated(80, 3, n_strong=30), mode="enriched", n_pcs="5")

    assert list(done.summary["covariances"])[-3:] == ["ED_PCA_1", "ED_PCA_2", "ED_tPCA"]


@pytest.mark.parametrize(
    ("D", "options", "reason"),
    [
        (4, {"min_strong": "31"}, "30 strong rows (lfsr < 0.05), 31 needed"),
        (4, {"n_pcs": "1"}, "under two components"),
        (2, {}, "under two components from 2 days"),
        (1, {}, "under two components from 1 days"),
    ],
)
def test_enriched_without_enough_to_learn_from_is_canonical_and_says_so(
    run: Runner, D: int, options: dict[str, str], reason: str
) -> None:
    done = run(simulated(80, D, n_strong=30), mode="enriched", **options)

    assert done.status == 0, done.stderr
    assert done.call()[0] == "uniform"
    assert not [name for name in done.summary["covariances"] if name.startswith("ED")]
    assert any(reason in text for text in done.summary["notes"])
    assert reason in done.stderr


def test_one_day_works(run: Runner) -> None:
    done = run(simulated(20, 1), null_correlation="simple")

    assert done.status == 0, done.stderr
    assert done.summary["error_correlation"] == [[1]]
    assert {row["best_day"] for row in done.rows} == {"d0"}
    assert all(row["lfsr_min"] == row["lfsr_d0"] for row in done.rows)
    assert done.summary["notes"] == []


# ---- the error correlation V --------------------------------------------------------------------


def evaluate(expression: str) -> subprocess.CompletedProcess[str]:
    """Run an R expression after sourcing the script (which must not start it)."""
    assert RSCRIPT is not None
    code = f'source("{SCRIPT}"); cat(to_json({expression}))'
    return subprocess.run([RSCRIPT, "-e", code], capture_output=True, text=True)


def r_matrix(values: list[list[float]]) -> str:
    numbers = ", ".join(repr(x) for row in values for x in row)
    return f"matrix(c({numbers}), {len(values)}, byrow = TRUE)"


def test_regularisation_equals_the_reference() -> None:
    done = evaluate(f"regularise_V({r_matrix(V_RAW)}, 1e-6, 0.05)")

    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), V_REGULARISED, rtol=0, atol=1e-14)


def test_an_impossible_correlation_becomes_definite_with_a_unit_diagonal() -> None:
    impossible = r_matrix([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    calls = f"regularise_V({impossible}, 0.2, 0), regularise_V({impossible}, 1e-6, 0.1)"
    done = evaluate(f"list({calls})")

    for V, smallest in zip(np.array(json.loads(done.stdout)), (0.1, 0.09), strict=True):
        np.testing.assert_array_equal(np.diag(V), 1)
        np.testing.assert_allclose(V, V.T, rtol=0, atol=1e-15)
        assert np.linalg.eigvalsh(V).min() > smallest


def test_v_is_estimated_from_null_rows_and_shrunk(run: Runner) -> None:
    """As in mashr, a missing pair counts as z = 0."""
    table = simulated(120, 3, n_strong=20)
    rows = np.array([line.split(",")[1:] for line in table.splitlines()[1:]], dtype=float)  # [n, 2D]
    z = rows[:, :3] / rows[:, 3:] / 1.2  # [n, D], on the inflated standard errors
    for i in range(110, 120):
        table = set_field(set_field(table, i, "betahat_d2", ""), i, "se_d2", "")
    z[110:, 2] = 0
    options = {"se_inflate": "1.2", "corr_shrink": "0.1"}
    done = run(table, null_correlation="simple", **options)

    expected = np.corrcoef(z[20:].T)
    assert done.summary["n_null_rows"] == 100
    np.testing.assert_allclose(done.summary["error_correlation_estimated"], expected, atol=1e-10)
    shrunk = 0.9 * expected + 0.1 * np.eye(3)
    np.testing.assert_allclose(done.summary["error_correlation"], shrunk, atol=1e-6)


def test_identity_estimates_nothing(run: Runner) -> None:
    summary = run(simulated(80, 3)).summary

    assert summary["error_correlation_estimated"] is None
    assert summary["error_correlation"] == np.eye(3).tolist()
    assert summary["notes"] == []


def test_too_few_null_rows_leave_the_identity_and_say_so(run: Runner) -> None:
    done = run(simulated(30, 4, n_strong=28), null_correlation="simple")

    assert done.status == 0, done.stderr
    assert done.summary["error_correlation"] == np.eye(4).tolist()
    assert done.summary["error_correlation_estimated"] is None
    assert "no estimate from the 2 rows" in done.summary["notes"][0]
    assert "not enough null data" in done.stderr


# ---- failures of mashr --------------------------------------------------------------------------


@pytest.mark.parametrize("fail", ["with_V", "nan"])
def test_mash_failing_with_v_is_fitted_again_with_the_identity(run: Runner, fail: str) -> None:
    options = {"mode": "enriched", "null_correlation": "simple"}
    done = run(simulated(80, 4, n_strong=50), fail=fail, **options)

    assert done.status == 0, done.stderr
    assert done.summary["notes"][0] == "V is estimated from only 30 null rows"
    assert done.summary["error_correlation"] == np.eye(4).tolist()
    assert done.summary["error_correlation_estimated"] is not None
    assert not [name for name in done.summary["covariances"] if name.startswith("ED")]
    assert "fitted again with the identity" in done.stderr
    assert any("fitted again with the identity" in text for text in done.summary["notes"])


@pytest.mark.parametrize(("fail", "V"), [("ed", "simple"), ("ed_nan", "identity")])
def test_cov_ed_failing_leaves_the_canonical_covariances_and_v(run: Runner, fail: str, V: str) -> None:
    done = run(simulated(80, 4, n_strong=30), fail=fail, mode="enriched", null_correlation=V)

    assert done.status == 0, done.stderr
    assert done.call()[0] == "uniform"
    assert not [name for name in done.summary["covariances"] if name.startswith("ED")]
    assert (done.summary["error_correlation"] == np.eye(4).tolist()) == (V == "identity")
    assert "no data-driven covariances, canonical only" in done.stderr


@pytest.mark.parametrize("options", [{}, {"null_correlation": "simple"}])
def test_mash_failing_for_good_is_an_error(run: Runner, options: dict[str, str]) -> None:
    done = run(simulated(80, 4), fail="always", **options)

    refused(done, "mash failed: chol(): decomposition failed")
    assert ("fitted again" in done.stderr) == bool(options)  # no second try of the same


# ---- numbers given as text ----------------------------------------------------------------------


def test_a_floor_of_1e_6_is_the_number(run: Runner) -> None:
    """As text it would be larger than every eigenvalue below 1 and turn V into all ones."""
    done = run(simulated(120, 4), null_correlation="simple", eigen_floor="1e-6")

    assert done.summary["eigen_floor"] == 1e-6
    expected = 0.95 * np.array(done.summary["error_correlation_estimated"]) + 0.05 * np.eye(4)
    np.testing.assert_allclose(done.summary["error_correlation"], expected, atol=1e-6)


def test_text_never_reaches_the_eigenvalues() -> None:
    done = evaluate(f'regularise_V({r_matrix(V_RAW)}, "1e-6", 0.05)')
    assert done.returncode != 0
    assert "is.numeric(eigen_floor)" in done.stderr

    converted = evaluate('as_number("1e-6", "eigen_floor")')
    assert float(converted.stdout) == 1e-6


# ---- refusals -----------------------------------------------------------------------------------


def refused(done: Run, message: str) -> None:
    """One error line with the message, status 1, and nothing written."""
    errors = [line for line in done.stderr.splitlines() if "note:" not in line]
    assert done.status == 1
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("run_mashr.R: error: ")
    assert message in errors[0]
    left = {path.name for path in done.folder.iterdir()}
    assert not [name for name in left if name.startswith("out")], left


FILES = ["--table", "a", "--output", "b", "--summary", "c"]
USUAL = [*FILES, "--mode", "enriched"]
NOT_A_NUMBER = "--eigen_floor must be a finite number, found"
REFUSED_OPTIONS = [
    *(
        ([*USUAL, "--eigen_floor", value], NOT_A_NUMBER)
        for value in ('"1e-6"', "'1e-6'", "abc", "", "NA", "NaN", "Inf", "1e-6,")
    ),
    ([*USUAL, "--se_inflate", "0"], "--se_inflate must be above 0, found 0"),
    ([*USUAL, "--se_floor", "-1"], "--se_floor must be at least 0"),
    ([*USUAL, "--corr_shrink", "1.5"], "--corr_shrink must be from 0 to 1"),
    ([*USUAL, "--min_strong", "2.5"], "--min_strong must be a whole number"),
    ([*USUAL, "--seed", "1e12"], "--seed must be a whole number below"),
    ([*FILES, "--mode", "bold"], "--mode must be conservative or enriched, found 'bold'"),
    ([*USUAL, "--null_correlation", "em"], "--null_correlation must be simple or identity"),
    ([*USUAL, "--shrink", "1"], "unknown option '--shrink'; the options are --table"),
    ([*USUAL, "seed", "1"], "unknown option 'seed'"),
    ([*USUAL, "--seed", "1", "--seed", "1"], "--seed is given twice"),
    ([*USUAL, "--seed"], "--seed needs a value"),
    (["--seed", *USUAL], "--seed needs a value"),
    (FILES, "--mode is required"),
    ([], "--table is required"),
    (USUAL[2:], "--table is required"),
    ([*USUAL[2:], "--table", "./b"], "three different files"),
]


def r_strings(values: list[str]) -> str:
    return "c(" + ", ".join(json.dumps(value) for value in values) + ")"


@pytest.fixture(scope="module")
def verdicts_on_options() -> list[str]:
    """What the script says of each of REFUSED_OPTIONS, in one R process."""
    calls = ", ".join(r_strings(args) for args, _ in REFUSED_OPTIONS)
    judge = 'function(x) tryCatch({parse_options(x); "accepted"}, error = conditionMessage)'
    done = evaluate(f"lapply(list({calls}), {judge})")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", range(len(REFUSED_OPTIONS)))
def test_options_outside_the_interface_are_refused(verdicts_on_options: list[str], case: int) -> None:
    assert REFUSED_OPTIONS[case][1] in verdicts_on_options[case]


def test_defaults() -> None:
    done = evaluate(f"parse_options({r_strings(USUAL)})")
    defaults = json.loads(done.stdout)

    assert {name: defaults[name] for name in list(defaults)[4:]} == {
        "null_correlation": "simple",
        "se_inflate": 1.0,
        "se_floor": 0.0,
        "null_z": 2,
        "corr_shrink": 0.05,
        "eigen_floor": 1e-6,
        "strong_lfsr": 0.05,
        "min_strong": 10,
        "n_pcs": 3,
        "null_weight": 10,
        "seed": 1,
    }


def test_a_refused_option_leaves_nothing(run: Runner) -> None:
    refused(run(simulated(20, 2), eigen_floor='"1e-6"'), NOT_A_NUMBER)


def test_output_never_overwrites_the_table(run: Runner, tmp_path: Path) -> None:
    table = simulated(20, 2)
    refused(run(table, output=str(tmp_path / "." / "in.csv")), "three different files")
    assert (tmp_path / "in.csv").read_text() == table


GOOD = simulated(20, 2)
GUIDES = simulated(20, 2, ids="guide,gene")


REFUSED_TABLES = [
    ("", "has no rows"),
    (GOOD.splitlines()[0] + "\n", "has no rows"),
    (GOOD.replace("gene,", "symbol,"), "column gene is missing"),
    (GOOD.replace("se_d1", "sd_d1"), "column se_d1 is missing"),
    (GOOD.replace("_d0", "_d2"), "column betahat_d0, se_d0 is missing"),
    (GOOD.replace("betahat", "beta"), "column betahat_d0 is missing"),
    (GOOD.replace("betahat_d1", "other"), "no betahat beside se_d1"),
    (GOOD.replace("betahat_d1", "betahat_d0"), "column betahat_d0 is there twice"),
    (GOOD.replace("gene,", "best_day,gene,").replace("\ng", "\nd0,g"), "already has best_day"),
    (set_field(GOOD, 3, "se_d1", "0"), "standard errors must be above 0, not so in g3"),
    (set_field(GOOD, 3, "se_d1", "-0.1"), "standard errors must be above 0, not so in g3"),
    (set_field(GOOD, 3, "se_d1", ""), "betahat without se, or se without betahat, in g3"),
    (set_field(GOOD, 3, "betahat_d0", "NA"), "betahat without se, or se without betahat, in g3"),
    (set_field(GOOD, 3, "betahat_d0", "Inf"), "betahat_d0: not a finite number: 'Inf' (g3)"),
    (set_field(GOOD, 3, "se_d0", "one"), "column se_d0: not a finite number: 'one' (g3)"),
    (set_field(GOOD, 3, "gene", "g5"), "column gene: duplicated ids: g5"),
    (set_field(GOOD, 3, "gene", ""), "column gene is empty in 1 rows"),
    (set_field(GOOD, 3, "gene", '"g3'), "does not have the header's number of fields"),
    (set_field(GOOD, 19, "se_d1", '"0.2'), "EOF within quoted string"),
    (GOOD.replace("g7,", "g7,1,"), "line 9 does not have the header's number of fields (5)"),
    (GOOD.replace("gene,", ""), "line 2, 3, 4, ... does not have the header's number of fields"),
    (GUIDES.replace("g4_1,", "g3_1,"), "column guide: duplicated ids: g3_1"),
]


@pytest.fixture(scope="module")
def verdicts_on_tables(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the script says of each of REFUSED_TABLES, in one R process."""
    folder = tmp_path_factory.mktemp("tables")
    paths = [folder / f"{i}.csv" for i in range(len(REFUSED_TABLES))]
    for path, (table, _) in zip(paths, REFUSED_TABLES, strict=True):
        path.write_text(table)
    judge = 'function(x) tryCatch({read_effects(read_table(x)); "accepted"}, error=conditionMessage)'
    done = evaluate(f"lapply({r_strings([str(path) for path in paths])}, {judge})")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", range(len(REFUSED_TABLES)))
def test_tables_outside_the_contract_are_refused(verdicts_on_tables: list[str], case: int) -> None:
    assert REFUSED_TABLES[case][1] in verdicts_on_tables[case]


def test_a_refused_table_leaves_nothing(run: Runner) -> None:
    refused(run(None), "no such file")
    refused(run(set_field(GOOD, 3, "se_d1", "0")), "standard errors must be above 0, not so in g3")
    # one row, without the newline at its end
    refused(run("\n".join(GOOD.splitlines()[:2])), "two rows with an observed day, found 1")


def test_an_output_given_as_input_is_refused(run: Runner, tmp_path: Path) -> None:
    done = run(GOOD)
    table = (done.folder / "out.csv").read_text()
    for name in ("out.csv", "out.json"):
        (tmp_path / name).unlink()

    refused(run(table), "the table already has postmean_d0")


def test_nothing_half_written_stays(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    refused(run(GOOD, summary=str(tmp_path / "taken")), "cannot write")
    assert not list(tmp_path.glob("*.tmp*"))


def test_folders_of_the_outputs_are_made(run: Runner, tmp_path: Path) -> None:
    done = run(GOOD, output=str(tmp_path / "a" / "b" / "mash.csv"))

    assert done.status == 0, done.stderr
    assert (tmp_path / "a" / "b" / "mash.csv").exists()


# ---- the summary --------------------------------------------------------------------------------


def test_summary_says_how_it_was_done(run: Runner) -> None:
    done = run(simulated(80, 3, n_strong=30), seed="-5")
    summary = done.summary

    assert summary["engine"] == "mashr"
    assert summary["mode"] == "conservative"
    assert summary["versions"]["mashr"] == "0.0.1"
    assert summary["versions"]["R"].count(".") == 2
    assert (summary["n_rows"], summary["loglik"]) == (80, -1.25)
    assert summary["seed"] == -5
    assert summary["null_correlation"] == "identity"
    called = sum(float(row["lfsr_min"]) < 0.05 for row in done.rows)
    assert summary["n_significant"] == called > 0


def test_the_pipeline_reads_the_mixture(run: Runner) -> None:
    """P(|effect| > eps) is computed from the JSON of either engine."""
    done = run(simulated(20, 3, n_strong=5), se_inflate="1.5")
    mixture = read_json(done.folder / "out.json")
    prior, data = read_mash_of_r(pd.read_csv(done.folder / "out.csv"), mixture, "out.csv")
    large = mash.prob_large(prior, data, eps=0.2)  # [n, D]

    assert large.shape == (20, 3)
    assert large[:5].min() > 0.9
    assert list(mixture["pi"])[:3] == ["null", "identity.1", "betahat_d0.1"]
    assert mixture["covariances"]["betahat_d1"] == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert mixture["grid"] == [0.5, 1]
    assert (mixture["se_inflate"], mixture["se_floor"]) == (1.5, 0)


def test_json_escapes_what_must_be() -> None:
    done = evaluate(
        r"""list(a = "q\" b\\ \n\u03b8", m = matrix(1:6 / 3, 2), e = list(), n = c(p = 1, q = NA),
                 z = NULL, t = TRUE, i = Inf, one = as.list("x"), d = matrix(0.1))"""
    )

    assert json.loads(done.stdout) == {
        "a": 'q" b\\  θ',
        "m": [[1 / 3, 1, 5 / 3], [2 / 3, 4 / 3, 2]],
        "e": [],
        "n": {"p": 1, "q": None},
        "z": None,
        "t": True,
        "i": None,
        "one": ["x"],
        "d": [[0.1]],
    }


# ---- the real package ---------------------------------------------------------------------------


def has_mashr() -> bool:
    if RSCRIPT is None:
        return False
    probe = 'quit(status = if (nzchar(system.file(package = "mashr"))) 0 else 1)'
    return subprocess.run([RSCRIPT, "-e", probe], capture_output=True).returncode == 0


HAS_MASHR = has_mashr()
needs_mashr = pytest.mark.skipif(not HAS_MASHR, reason="the R package mashr is not installed")


@pytest.mark.skipif(HAS_MASHR, reason="the R package mashr is installed")
def test_without_mashr_the_first_thing_said_is_how_to_get_it(tmp_path: Path) -> None:
    done = execute(tmp_path, None, {"mode": "bold"}, {})

    refused(done, "the R package mashr is not installed")
    assert "envs/mashr.yaml" in done.stderr
    assert "mash: {engine: python}" in done.stderr


@needs_mashr
@pytest.mark.parametrize("mode", ["conservative", "enriched"])
def test_real_mash_shrinks_and_shares(tmp_path: Path, mode: str) -> None:
    table = simulated(300, 4, n_strong=60)
    table = set_field(set_field(table, 5, "betahat_d2", ""), 5, "se_d2", "")
    done = execute(tmp_path, table, {"mode": mode}, {})

    assert done.status == 0, done.stderr
    kinds = ("betahat", "se", "postmean", "postsd", "lfsr")
    values = {
        kind: np.array([[float(r[f"{kind}_d{d}"] or "nan") for d in range(4)] for r in done.rows])
        for kind in kinds
    }  # each [n, D]
    assert np.isnan(values["lfsr"]).sum() == 1
    assert (np.nanmin(values["lfsr"][:60], axis=1) < 0.01).all()
    assert (np.nanmin(values["lfsr"][60:], axis=1) < 0.05).mean() < 0.05
    assert np.nanmean(values["postsd"]) < np.nanmean(values["se"])
    assert np.nanmean(np.abs(values["postmean"][60:])) < np.nanmean(np.abs(values["betahat"][60:]))
    names = list(done.summary["covariances"])
    assert names[:5] == ["identity", *(f"betahat_d{d}" for d in range(4))]
    assert ("ED_tPCA" in names) == (mode == "enriched")
    assert sum(done.summary["pi"].values()) == pytest.approx(1)
    assert done.summary["notes"] == []


@needs_mashr
@pytest.mark.parametrize("D", [1, 2])
def test_real_mash_on_few_days(tmp_path: Path, D: int) -> None:
    done = execute(tmp_path, simulated(200, D, n_strong=40), {"mode": "enriched"}, {})

    assert done.status == 0, done.stderr
    assert all(float(row["lfsr_min"]) < 0.01 for row in done.rows[:40])
