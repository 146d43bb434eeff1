#!/usr/bin/env Rscript
# Share effects across days with the R package mashr (multivariate adaptive shrinkage).
#
#   Rscript scripts/run_mashr.R --table gene_daywise_for_mash.csv --mode conservative \
#       --output mash_gene_conservative.csv --summary mash_gene_conservative.json
#
# Input:  id columns (gene; or guide, gene), betahat_d0.., se_d0.., any further columns; an empty
#         betahat and se is an unobserved gene-day.
# Output: the input's columns and rows as they stand, then postmean_d0.., postsd_d0.., lfsr_d0..,
#         lfsr_min, best_day (the label d<i> of the smallest lfsr); and a summary in JSON with the
#         fitted mixture, of the same entries as the built-in engine's.
# Needs mashr (envs/mashr.yaml) and nothing else. On error: one message, exit status 1, no output.

TEXTS <- list(table = NULL, output = NULL, summary = NULL, mode = c("conservative", "enriched"),
              null_correlation = c("simple", "identity")) # choices where there are any
number <- function(default, rule, ok) list(default = default, rule = rule, ok = ok)
count_from_1 <- function(x) x == round(x) && x >= 1
NUMBERS <- list(
  se_inflate = number(1, "above 0", function(x) x > 0),
  se_floor = number(0, "at least 0", function(x) x >= 0),
  null_z = number(2, "above 0", function(x) x > 0),
  corr_shrink = number(0.05, "from 0 to 1", function(x) x >= 0 && x <= 1),
  eigen_floor = number(1e-6, "from 0 to 1", function(x) x >= 0 && x <= 1),
  strong_lfsr = number(0.05, "above 0 and at most 1", function(x) x > 0 && x <= 1),
  min_strong = number(10, "a whole number of at least 1", count_from_1),
  n_pcs = number(3, "a whole number of at least 1", count_from_1),
  null_weight = number(10, "at least 1", function(x) x >= 1),
  seed = number(1, "a whole number below 2^31", function(x) x == round(x) && abs(x) < 2^31))
MISSING_SE <- 1e6 # what mashr itself puts, with a betahat of 0, where a pair is missing
SIGNIFICANT_LFSR <- 0.05

fail <- function(...) stop(sprintf(...), call. = FALSE)
one_line <- function(text) trimws(gsub("[[:space:]]+", " ", paste(text, collapse = " ")))
some <- function(x) paste(c(head(x, 3), if (length(x) > 3) "..."), collapse = ", ")

NOTES <- character(0)
note <- function(...) { # what fell back and why: said on stderr and kept for the summary
  NOTES <<- c(NOTES, one_line(sprintf(...)))
  message("run_mashr.R: note: ", tail(NOTES, 1))
}

# The value of `code`, or an object of class "failure" with the error's message; warnings are noted.
attempt <- function(what, code) {
  warned <- function(w) {
    note("%s warned: %s", what, conditionMessage(w))
    invokeRestart("muffleWarning")
  }
  tryCatch(withCallingHandlers(code, warning = warned), error = function(e)
    structure(list(message = one_line(conditionMessage(e))), class = "failure"))
}
failed <- function(x) inherits(x, "failure")

# Every number passes here. A number left as text (YAML reads 1e-6 as text) must never reach a
# comparison: R would compare as text, and an eigenvalue floor would then lift every eigenvalue.
as_number <- function(text, name) {
  value <- suppressWarnings(as.numeric(text))
  if (length(value) != 1 || !is.finite(value))
    fail("--%s must be a finite number, found '%s'", name, text)
  rule <- NUMBERS[[name]]
  if (!rule$ok(value)) fail("--%s must be %s, found %s", name, rule$rule, text)
  value
}

parse_options <- function(args) {
  known <- c(names(TEXTS), names(NUMBERS))
  given <- list()
  while (length(args) > 0) {
    name <- sub("^--", "", args[1])
    if (!startsWith(args[1], "--") || !name %in% known)
      fail("unknown option '%s'; the options are %s", args[1], paste0("--", known, collapse = " "))
    if (length(args) < 2 || startsWith(args[2], "--")) fail("--%s needs a value", name)
    if (name %in% names(given)) fail("--%s is given twice", name)
    given[[name]] <- args[2]
    args <- args[-(1:2)]
  }
  if (is.null(given$null_correlation)) given$null_correlation <- "simple"
  for (name in names(TEXTS)) {
    value <- given[[name]]
    if (is.null(value)) fail("--%s is required", name)
    if (!is.null(TEXTS[[name]]) && !value %in% TEXTS[[name]])
      fail("--%s must be %s, found '%s'", name, paste(TEXTS[[name]], collapse = " or "), value)
  }
  for (name in names(NUMBERS)) given[[name]] <-
    if (is.null(given[[name]])) NUMBERS[[name]]$default else as_number(given[[name]], name)
  files <- unlist(given[c("table", "output", "summary")])
  if (anyDuplicated(paste(normalizePath(dirname(files), mustWork = FALSE), basename(files))))
    fail("--table, --output and --summary must be three different files")
  given
}

# Text throughout: ids such as 007 or NA and the spelling of the numbers come out as they went in.
read_table <- function(path) {
  if (!file.exists(path) || dir.exists(path)) fail("--table %s: no such file", path)
  n_fields <- count.fields(path, sep = ",", quote = "\"", comment.char = "")
  ragged <- which(n_fields != n_fields[1]) # read.csv would take a short header for row names
  if (length(ragged)) fail("%s: line %s does not have the header's number of fields (%d)", path,
                           some(ragged), n_fields[1])
  if (length(n_fields) < 2) fail("%s has no rows", path)
  unless_harmless <- function(w) {
    if (!grepl("incomplete final line", conditionMessage(w))) # such as an unclosed quote
      fail("%s: %s", path, conditionMessage(w))
    invokeRestart("muffleWarning")
  }
  table <- withCallingHandlers(
    read.csv(path, colClasses = "character", na.strings = character(0), check.names = FALSE,
             fill = FALSE, comment.char = ""), warning = unless_harmless)
  twice <- unique(names(table)[duplicated(names(table))])
  if (length(twice)) fail("%s: column %s is there twice", path, some(twice))
  table
}

# One id per row: the guide where there is a column guide, else the gene.
row_ids <- function(table) {
  if (!"gene" %in% names(table)) fail("column gene is missing; found %s", some(names(table)))
  key <- if ("guide" %in% names(table)) "guide" else "gene"
  ids <- table[[key]]
  if (any(ids == "")) fail("column %s is empty in %d rows", key, sum(ids == ""))
  twice <- unique(ids[duplicated(ids)])
  if (length(twice)) fail("column %s: duplicated ids: %s", key, some(twice))
  ids
}

day_columns <- function(kind, D) paste0(kind, "_d", seq_len(D) - 1)
day_labels <- function(betahat) sub("betahat_", "", colnames(betahat))
result_columns <- function(D)
  c(unlist(lapply(c("postmean", "postsd", "lfsr"), day_columns, D)), "lfsr_min", "best_day")

# The number of days D; the columns must be betahat_d0..d(D-1) and se_d0..d(D-1).
count_days <- function(columns) {
  D <- sum(grepl("^betahat_d[0-9]+$", columns))
  found <- grep("^(betahat|se)_d[0-9]+$", columns, value = TRUE)
  wanted <- c(day_columns("betahat", max(D, 1)), day_columns("se", max(D, 1)))
  lacking <- setdiff(wanted, found)
  if (length(lacking)) fail("column %s is missing; found %s", some(lacking), some(columns))
  if (length(setdiff(found, wanted))) fail("no betahat beside %s", some(setdiff(found, wanted)))
  taken <- intersect(columns, result_columns(D))
  if (length(taken)) fail("the table already has %s: is it an output of mash?", some(taken))
  D
}

# betahat and se, n x D, NA where unobserved.
read_effects <- function(table) {
  ids <- row_ids(table)
  D <- count_days(names(table))
  numbers <- function(column) {
    text <- trimws(table[[column]])
    value <- suppressWarnings(as.numeric(text))
    absent <- text %in% c("", "NA")
    bad <- !absent & !is.finite(value)
    if (any(bad)) fail("column %s: not a finite number: %s", column,
                       some(sprintf("'%s' (%s)", text[bad], ids[bad])))
    ifelse(absent, NA, value)
  }
  as_matrix <- function(kind) matrix(unlist(lapply(day_columns(kind, D), numbers)), ncol = D,
                                     dimnames = list(NULL, day_columns("betahat", D)))
  betahat <- as_matrix("betahat")
  se <- as_matrix("se")
  half <- rowSums(is.na(betahat) != is.na(se)) > 0
  if (any(half)) fail("betahat without se, or se without betahat, in %s", some(ids[half]))
  bad <- rowSums(se <= 0, na.rm = TRUE) > 0
  if (any(bad)) fail("standard errors must be above 0, not so in %s", some(ids[bad]))
  list(betahat = betahat, se = se)
}

# Nearest positive definite correlation, eigenvalues floored, unit diagonal, shrunk to identity.
regularise_V <- function(V, eigen_floor, corr_shrink) {
  stopifnot(is.numeric(V), is.numeric(eigen_floor), is.numeric(corr_shrink))
  if (requireNamespace("Matrix", quietly = TRUE)) # else the floor alone makes it definite
    V <- as.matrix(Matrix::nearPD(V, corr = TRUE, keepDiag = TRUE)$mat)
  decomposed <- eigen((V + t(V)) / 2, symmetric = TRUE)
  V <- decomposed$vectors %*% (pmax(decomposed$values, eigen_floor) * t(decomposed$vectors))
  V <- (1 - corr_shrink) * cov2cor((V + t(V)) / 2)
  diag(V) <- 1
  unname(V)
}

# list(estimated, used, n_null_rows): the correlation of errors between days. As in mashr, a missing
# pair counts as z = 0, which pulls towards 0. `seen`: the days with anything observed.
error_correlation <- function(betahat, se, seen, opt) {
  D <- ncol(betahat)
  V <- list(estimated = NULL, used = diag(D), n_null_rows = NA)
  if (sum(seen) < 2 || opt$null_correlation == "identity") return(V)
  V$n_null_rows <- sum(rowSums(abs(betahat / se) >= opt$null_z) == 0)
  found <- attempt("estimate_null_correlation_simple", {
    data <- mash_set_data(betahat[, seen], se[, seen])
    estimated <- diag(D)
    estimated[seen, seen] <- estimate_null_correlation_simple(data, z_thresh = opt$null_z)
    list(estimated = estimated, used = regularise_V(estimated, opt$eigen_floor, opt$corr_shrink))
  })
  if (failed(found)) {
    note("V is the identity: no estimate from the %d rows with |z| < %g on every day: %s",
         V$n_null_rows, opt$null_z, found$message)
    return(V)
  }
  # mashr takes D rows; with fewer than about ten a day the correlations are mostly noise
  if (V$n_null_rows < 10 * D) note("V is estimated from only %d null rows", V$n_null_rows)
  c(found, V["n_null_rows"])
}

# list(U, n_strong): covariances learned from the strong rows, or U = NULL and a note that says why.
data_driven_covariances <- function(betahat, se, V, opt) {
  D <- ncol(betahat)
  if (min(opt$n_pcs, D - 1) < 2) { # mashr's cov_pca refuses a single component
    note("no data-driven covariances, canonical only: under two components from %d days, n_pcs %g",
         D, opt$n_pcs)
    return(list(U = NULL, n_strong = NA))
  }
  data <- mash_set_data(betahat, se, V = V)
  strong <- get_significant_results(mash_1by1(data), thresh = opt$strong_lfsr)
  n_strong <- length(strong)
  if (n_strong < max(opt$min_strong, 2)) {
    note("no data-driven covariances, canonical only: %d strong rows (lfsr < %g), %g needed",
         n_strong, opt$strong_lfsr, max(opt$min_strong, 2))
    return(list(U = NULL, n_strong = n_strong))
  }
  set.seed(opt$seed)
  pcs <- cov_pca(data, min(opt$n_pcs, D - 1, n_strong), subset = strong)
  U <- cov_ed(data, pcs, subset = strong)
  if (!all(is.finite(unlist(U)))) fail("cov_ed gave values that are not finite")
  list(U = U, n_strong = n_strong)
}

prior_of <- function(mode) if (mode == "conservative") "nullbiased" else "uniform"

# list(mean, sd, lfsr: n x D; loglik; pi: named, by component; by_covariance: its sums; g: mixture).
fit_mash <- function(betahat, se, V, U, opt) {
  data <- mash_set_data(betahat, se, V = V)
  fit <- mash(data, c(cov_canonical(data), U), prior = prior_of(opt$mode),
              nullweight = opt$null_weight, verbose = FALSE)
  shaped <- function(x) matrix(as.numeric(x), nrow(betahat), ncol(betahat))
  posterior <- list(mean = shaped(get_pm(fit)), sd = shaped(get_psd(fit)),
                    lfsr = pmin(pmax(shaped(get_lfsr(fit)), 0), 1), # rounding gives -2e-16 at times
                    loglik = get_loglik(fit), pi = get_estimated_pi(fit, "all"),
                    by_covariance = get_estimated_pi(fit, "cov"), g = fit$fitted_g)
  checked <- posterior[c("mean", "sd", "lfsr", "loglik", "pi")]
  if (!all(is.finite(unlist(checked)))) fail("mash gave values that are not finite")
  posterior
}

# list(V, n_strong, posterior); betahat and se are n x D, NA where missing.
analyse <- function(betahat, se, opt) {
  missing <- is.na(betahat)
  seen <- colSums(!missing) > 0
  if (!all(seen)) note("nothing is observed on %s", some(day_labels(betahat)[!seen]))
  betahat[missing] <- 0
  se[missing] <- MISSING_SE
  V <- error_correlation(betahat, se, seen, opt)
  learned <- list(U = NULL, n_strong = NA)
  if (opt$mode == "enriched") {
    tried <- attempt("cov_ed", data_driven_covariances(betahat, se, V$used, opt))
    if (failed(tried)) note("no data-driven covariances, canonical only: %s", tried$message)
    else learned <- tried
  }
  posterior <- attempt("mash", fit_mash(betahat, se, V$used, learned$U, opt))
  identity_V <- diag(ncol(betahat))
  if (failed(posterior) && !(is.null(learned$U) && identical(V$used, identity_V))) {
    note("mash failed (%s); fitted again with the identity for V and canonical covariances only",
         posterior$message)
    V$used <- identity_V
    posterior <- attempt("mash", fit_mash(betahat, se, identity_V, NULL, opt))
  }
  if (failed(posterior)) fail("mash failed: %s", posterior$message)
  list(V = V, n_strong = learned$n_strong, posterior = posterior)
}

# 17 significant digits give back the same double; the 15 of write.csv do not.
digits17 <- function(x) ifelse(is.na(x), "", sprintf("%.17g", x))

csv_lines <- function(columns) {
  quoted <- function(x) {
    special <- grepl("[\",\r\n]", x, useBytes = TRUE) # bytes: any encoding passes through
    x[special] <- paste0("\"", gsub("\"", "\"\"", x[special]), "\"")
    x
  }
  c(paste(quoted(names(columns)), collapse = ","),
    do.call(paste, c(unname(lapply(columns, quoted)), sep = ",")))
}

# Named things are objects, matrices arrays of rows, unnamed lists arrays; NA and Inf are null.
to_json <- function(x) {
  text <- function(s) paste0("\"", gsub("[[:cntrl:]]", " ", gsub("([\\\\\"])", "\\\\\\1", s)), "\"")
  if (is.matrix(x)) x <- lapply(seq_len(nrow(x)), function(i) as.list(unname(x[i, ])))
  if (is.list(x) || !is.null(names(x))) {
    parts <- vapply(as.list(x), to_json, "")
    if (is.null(names(x))) return(paste0("[", paste(parts, collapse = ", "), "]"))
    return(paste0("{", paste0(text(names(x)), ": ", parts, collapse = ", "), "}"))
  }
  if (is.null(x) || is.na(x) || (is.numeric(x) && !is.finite(x))) return("null")
  if (is.character(x)) text(x) else if (is.logical(x)) tolower(x) else sprintf("%.17g", x)
}

# All files or none: written under temporary names beside their targets, then renamed.
publish <- function(contents) {
  paths <- names(contents)
  temporary <- paste0(paths, ".tmp", Sys.getpid())
  on.exit(unlink(temporary))
  for (i in seq_along(paths)) {
    dir.create(dirname(paths[i]), recursive = TRUE, showWarnings = FALSE)
    if (file.access(dirname(paths[i]), 2) != 0) fail("cannot write to the folder of %s", paths[i])
    writeLines(contents[[i]], temporary[i])
  }
  renamed <- suppressWarnings(file.rename(temporary, paths))
  unlink(paths[renamed & !all(renamed)])
  if (!all(renamed)) fail("cannot write %s", some(paths[!renamed]))
}

load_mashr <- function() {
  remedy <- paste("Use the conda environment envs/mashr.yaml, or set `mash: {engine: python}` in",
                  "config.yaml to run without R.")
  if (!nzchar(system.file(package = "mashr")))
    fail("the R package mashr is not installed. %s", remedy)
  loaded <- tryCatch(suppressPackageStartupMessages(library(mashr)), error = identity)
  if (inherits(loaded, "error"))
    fail("the R package mashr does not load: %s. %s", one_line(conditionMessage(loaded)), remedy)
  if (!"nullweight" %in% names(formals(mashr::mash)))
    fail("mashr %s is too old: its mash() has no nullweight. %s", version_of("mashr"), remedy)
}
version_of <- function(package)
  if (nzchar(system.file(package = package))) as.character(packageVersion(package)) else NA

run <- function(args) {
  load_mashr()
  opt <- parse_options(args)
  table <- read_table(opt$table)
  effects <- read_effects(table)
  betahat <- effects$betahat # n x D
  se <- pmax(effects$se * opt$se_inflate, opt$se_floor) # n x D
  observed <- !is.na(betahat)
  n_seen <- sum(rowSums(observed) > 0)
  if (n_seen < 2) fail("mash needs two rows with an observed day, found %d", n_seen)
  result <- analyse(betahat, se, opt)

  # a gene-day without cells is never called, though mash has a posterior for it
  seen <- function(values) ifelse(observed, values, NA)
  posterior <- result$posterior
  lfsr <- seen(posterior$lfsr)
  # the first of tied days: where days share one effect their lfsr differ by rounding only
  first_smallest <- function(x) which(x <= min(x) * (1 + 1e-9))[1]
  best <- apply(ifelse(is.na(lfsr), Inf, lfsr), 1, first_smallest)
  lfsr_min <- lfsr[cbind(seq_along(best), best)]
  numbers <- cbind(seen(posterior$mean), seen(posterior$sd), lfsr, lfsr_min)
  added <- c(lapply(seq_len(ncol(numbers)), function(j) digits17(numbers[, j])),
             list(ifelse(is.na(lfsr_min), "", day_labels(betahat)[best])))
  names(added) <- result_columns(ncol(betahat))

  packages <- c("mashr", "ashr", "mixsqp", "Matrix")
  summary <- list(
    engine = "mashr", mode = opt$mode, prior = prior_of(opt$mode),
    versions = c(R = as.character(getRversion()), sapply(packages, version_of)),
    n_rows = nrow(table), n_missing_cells = sum(!observed),
    n_significant = sum(lfsr_min < SIGNIFICANT_LFSR, na.rm = TRUE),
    n_null_rows = result$V$n_null_rows, n_strong = result$n_strong)
  summary <- c(summary, opt[c("null_correlation", names(NUMBERS))], list(
    error_correlation = result$V$used, error_correlation_estimated = result$V$estimated,
    covariances = posterior$g$Ulist, grid = as.list(posterior$g$grid), pi = posterior$pi,
    pi_by_covariance = posterior$by_covariance, loglik = posterior$loglik, notes = as.list(NOTES)))
  json <- paste0("  ", sapply(names(summary), to_json), ": ", sapply(summary, to_json))
  contents <- list(csv_lines(c(as.list(table), added)), c("{", paste(json, collapse = ",\n"), "}"))
  publish(setNames(contents, c(opt$output, opt$summary)))
}

main <- function() {
  Sys.setenv(LANGUAGE = "en") # R's own messages in one language, in logs and in the summary
  result <- tryCatch(run(commandArgs(trailingOnly = TRUE)), error = identity)
  if (inherits(result, "error"))
    message("run_mashr.R: error: ", one_line(conditionMessage(result)))
  quit(save = "no", status = if (inherits(result, "error")) 1 else 0)
}

if (sys.nframe() == 0) main() # not when sourced, by a test
