"use strict";
// Pictures, tables and the panel of a gene, from the numbers in the page. Nothing is fetched.
const DATA = JSON.parse(document.getElementById("data").textContent);
const D = DATA.days.length;
const CALLED = "#d55e00", PLAIN = "#7b8794";  // told apart by all, on light and dark paper
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#7b8794"];
const SHAPES = { hit: "circle", "hit, look twice": "triangle-up", withheld: "cross", "follows others": "diamond" };
const FIRST_GENES = 40;     // of the picture of all genes, before its button is pressed
const FIRST_TRUTHS = 4;     // fates drawn against the truth
const MANY_CELLS = 6000;    // coloured cells above which a picture is a bitmap
const TOP = 12;             // −log10 of the chance of a wrong sign at which the axis ends
const HITS = new Map(DATA.hits.map(hit => [hit.gene + "\n" + (hit.fate ?? hit.contrast), hit]));
const WITHHELD = new Set(DATA.withheld.map(hit => hit.gene + "\n" + (hit.fate ?? hit.contrast)));
const STATES = ["hit", ...(DATA.hits.some(hit => hit.marks) ? ["hit, look twice"] : []), ...(WITHHELD.size ? ["withheld"] : []), "follows others"];
const FILLS = STATES.map(state => ({ hit: "#000", "hit, look twice": "#ffd92f", withheld: PLAIN }[state] ?? "#fff"));
const PLACE = new Map(DATA.genes.map((gene, g) => [gene, g]));
const element = (id) => document.getElementById(id);
const round = (value, digits = 2) => value === null ? "not known" : value.toFixed(digits).replace("-", "−");
const signed = (value, digits = 1) => value === null ? "not known" : (value > 0 ? "+" : "") + round(value, digits);
const odds = (value) => value === null ? null : Number(Math.exp(value).toPrecision(3));

const oddsInWords = (value) => value === null ? "not known" : odds(value) < 10 ? odds(value).toFixed(2) : String(odds(value));

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------ rows of the pictures

function effectRows(genes, fates) {
  const rows = [];
  for (const fate of fates) {
    const of = DATA.effects.by_fate[fate];
    for (const gene of genes) {
      for (let d = 0; d < D; d++) {
        const i = PLACE.get(gene) * D + d;
        const place = gene + "\n" + fate, hit = HITS.get(place);
        const state = !of.called[i] ? "not called" : hit ? (hit.marks ? "hit, look twice" : "hit") : WITHHELD.has(place) ? "withheld" : "follows others";
        rows.push({
          gene, fate, day: DATA.days[d], time: DATA.times[d], effect: of.mash_mean[i], lfsr: of.lfsr[i], state,
          sd: of.mash_sd[i], estimate: of.estimate[i], se: of.se[i], "odds times": odds(of.mash_mean[i]),
          points: DATA.points[fate]?.change[i] ?? null, cells: DATA.effects.n_cells[i],
        });
      }
    }
  }
  return rows;
}

const TIP = [
  { field: "gene", type: "nominal" }, { field: "fate", type: "nominal" }, { field: "day", type: "nominal" },
  { field: "effect", type: "quantitative", title: "effect (logit)", format: ".2f" },
  { field: "odds times", type: "quantitative" },
  { field: "points", type: "quantitative", title: "percentage points", format: "+.1f" },
  { field: "lfsr", type: "quantitative", title: "chance of a wrong sign", format: ".2g" },
  { field: "cells", type: "quantitative" }, { field: "state", type: "nominal" },
];

// ------------------------------------------------------------------------ the pictures

const ink = "currentColor";
const CONFIG = {
  background: null, font: "system-ui, sans-serif", view: { stroke: null }, aria: true,
  axis: { labelColor: ink, titleColor: ink, domainColor: PLAIN, tickColor: PLAIN, gridColor: PLAIN, gridOpacity: 0.25,
    labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
  header: { labelColor: ink, titleColor: ink, labelFontSize: 13, labelFontWeight: "bold" },
  legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", orient: "top", labelLimit: 260,
    layout: { top: { direction: innerWidth < 640 ? "vertical" : "horizontal" } } },
  title: { color: ink }, mark: { aria: false }, range: { category: COLOURS },
};

const ON_LIGHT = { fillColor: "#f7f7f7", padding: 4, cornerRadius: 3, labelColor: "#1b1f24", titleColor: "#1b1f24", symbolStrokeColor: "#000" };
const widthOf = (names) => Math.max(0, ...names.map(name => String(name).length)) * 7.5 + 8;  // pixels, of texts of this size
const legendColumns = (names) => Math.max(1, Math.min(names.length, Math.floor((Math.min(innerWidth, 1250) - 90) / (widthOf(names) + 24))));
const columnsOf = (width) => Math.max(1, Math.floor((Math.min(innerWidth, 1250) - 110) / (width + 40)));

function heatmap(genes, fates, description) {
  const rows = effectRows(genes, fates);
  const step = Math.min(44, Math.max(21, Math.ceil(widthOf(fates) / D)));  // a day is as wide as the names of fates need
  const largest = rows.reduce((most, row) => Math.max(most, Math.abs(row.effect ?? 0)), 0.5);
  const position = {
    x: { field: "day", type: "ordinal", sort: DATA.days, title: null, axis: { labelAngle: -60 } },
    y: { field: "gene", type: "ordinal", sort: genes, title: null, axis: { domain: false, ticks: false } },
  };
  return {
    description, data: { values: rows },
    facet: { column: { field: "fate", type: "nominal", sort: fates, title: null, header: { labelLimit: step * D + 10 } } }, spacing: 14,
    spec: { width: { step }, height: { step: 17 }, layer: [
      { mark: { type: "rect", cursor: "pointer", stroke: "#8883", strokeWidth: 0.5 }, encoding: { ...position, tooltip: TIP,
        color: { condition: { test: "datum.effect === null", value: "#9aa3ab" }, field: "effect", type: "quantitative",
          title: "effect (logit), after shrinkage",
          scale: { scheme: "redblue", reverse: true, domain: [-largest, largest] } } } },
      { transform: [{ filter: "datum.state !== 'not called'" }],
        mark: { type: "point", filled: false, size: 32, stroke: "#000", strokeWidth: 1.5, cursor: "pointer" },
        encoding: { ...position, tooltip: TIP, fill: { field: "state", type: "nominal", title: "called",
          scale: { domain: STATES, range: FILLS }, legend: ON_LIGHT } } },
    ] },
  };
}

function overview() {
  const genes = [...new Set(DATA.hits.map(hit => hit.gene))];
  const withHits = DATA.fates.filter(fate => DATA.hits.some(hit => (hit.fate ?? hit.contrast) === fate));
  const fates = DATA.fates.length <= 6 ? DATA.fates : withHits;
  const shown = genes.slice(0, FIRST_GENES);
  const notes = [];
  if (shown.length < genes.length) notes.push(`The best ${shown.length} of ${genes.length} genes; the rest are in the table.`);
  if (fates.length < DATA.fates.length) notes.push(`Fates without a hit are left out: ${DATA.fates.filter(f => !fates.includes(f)).join(", ")}.`);
  element("overview-note").textContent = notes.join(" ");
  return heatmap(shown, fates, "Hits by fate and day; the same numbers stand in the table below");
}

let allGenes = false;
function everything() {
  return heatmap(allGenes ? DATA.genes : DATA.genes.slice(0, FIRST_GENES), DATA.fates, "Effects of all genes on all fates by day");
}

function volcano() {
  const rows = effectRows(DATA.genes, [element("volcano-fate").value]).filter(row => row.lfsr !== null && row.effect !== null);
  for (const row of rows) row.sure = Math.min(TOP, -Math.log10(Math.max(row.lfsr, 1e-300)));
  for (const day of DATA.days) {
    rows.filter(row => row.day === day && row.state !== "not called")
      .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, 6).forEach(row => { row.name = row.gene; });
  }
  const x = { field: "effect", type: "quantitative", title: "effect (logit), after shrinkage" };
  const y = { field: "sure", type: "quantitative", title: ["certainty (−log₁₀ of", "the chance of a wrong sign)"], scale: { domain: [0, TOP + 0.5] } };
  return {
    description: "Effect against certainty, a panel a day", data: { values: rows },
    facet: { field: "day", type: "ordinal", sort: DATA.days, title: null }, columns: columnsOf(230),
    spec: { width: 230, height: 230, layer: [
      { mark: { type: "point", filled: true, size: 45, opacity: 0.85, cursor: "pointer" }, encoding: { x, y, tooltip: TIP,
        shape: { field: "state", type: "nominal", title: null, scale: { domain: [...STATES, "not called"], range: STATES.map(state => SHAPES[state]).concat("circle") } },
        color: { field: "state", type: "nominal", title: null, scale: { domain: [...STATES, "not called"], range: STATES.map(state => state === "hit" ? CALLED : "#e69f00").concat(PLAIN) } } } },
      { transform: [{ filter: "datum.name" }], mark: { type: "text", dy: -8, fontSize: 11, color: ink }, encoding: { x, y, text: { field: "name" } } },
      ...[-DATA.eps, DATA.eps].map(at => ({ mark: { type: "rule", strokeDash: [4, 3], color: PLAIN, strokeWidth: 0.8 }, encoding: { x: { datum: at } } })),
    ] },
  };
}

const fateColour = (fates) => ({ field: "fate", type: "nominal", title: null, sort: fates,
  scale: { domain: fates, ...(fates.length > 8 ? { scheme: "tableau20" } : { range: COLOURS }) }, legend: { columns: legendColumns(fates) } });

function composition() {
  const rows = DATA.composition.flatMap(row => Object.entries(row.share).map(([fate, share]) => ({ ...row, fate, share })));
  if (!rows.length) return null;
  return {
    description: "Share of each fate among the cells, by day and replicate", data: { values: rows },
    facet: { field: "rep", type: "nominal", title: null }, columns: columnsOf(220),
    spec: { width: Math.max(90, 46 * D), height: 200, mark: { type: "bar", stroke: "#fff8", strokeWidth: 0.5 }, encoding: {
      x: { field: "day", type: "ordinal", sort: DATA.days, title: null }, color: fateColour(Object.keys(DATA.composition[0].share)),
      y: { field: "share", type: "quantitative", title: "share of cells", axis: { format: "%" }, scale: { domain: [0, 1] } },
      tooltip: [{ field: "fate" }, { field: "day" }, { field: "rep", title: "replicate" }, { field: "share", format: ".1%" }, { field: "cells" }],
    } },
  };
}

function certainty() {
  if (!DATA.composition.length) return null;
  return {
    description: "Share of cells with a clear fate, by day and replicate", data: { values: DATA.composition },
    width: Math.max(180, 70 * D), height: 170, mark: { type: "line", point: { size: 60, filled: true } }, encoding: {
      x: { field: "day", type: "ordinal", sort: DATA.days, title: null },
      y: { field: "clear", type: "quantitative", title: ["cells with a fate of", "probability 0.8 or more"], scale: { domain: [0, 1] }, axis: { format: "%" } },
      color: { field: "rep", type: "nominal", title: "replicate" },
      tooltip: [{ field: "day" }, { field: "rep", title: "replicate" }, { field: "clear", format: ".0%", title: "clear" }, { field: "top", format: ".2f", title: "mean probability of the likeliest fate" }],
    },
  };
}

function burden() {
  const rows = Object.entries(DATA.burden).map(([guides, share]) => ({ guides, share }));
  return {
    description: "Share of cells by number of guides", data: { values: rows }, width: { step: 34 }, height: 150, mark: { type: "bar", color: COLOURS[0] },
    encoding: { x: { field: "guides", type: "ordinal", sort: null, title: "guides in a cell", axis: { labelAngle: 0 } },
      y: { field: "share", type: "quantitative", title: "share of cells", axis: { format: "%" } }, tooltip: [{ field: "guides" }, { field: "share", format: ".1%" }] },
  };
}

function power() {
  const rows = Object.entries(DATA.power).flatMap(([fate, sizes]) => sizes.map((size, d) => ({ fate, day: DATA.days[d], times: odds(size) })));
  return {
    description: "Smallest effect that a typical gene can be expected to show", data: { values: rows.filter(row => row.times !== null) },
    width: Math.max(180, 70 * D), height: 170, mark: { type: "line", point: { size: 60, filled: true } }, encoding: {
      x: { field: "day", type: "ordinal", sort: DATA.days, title: null }, color: fateColour([...new Set(rows.map(row => row.fate))]),
      y: { field: "times", type: "quantitative", title: "odds times", scale: { zero: false } }, tooltip: [{ field: "fate" }, { field: "day" }, { field: "times" }],
    },
  };
}

const WATCHED = {
  newton_step: "move of the solution (SDs)", scale_step: "change of scales", weight_step: "change of label weights",
  drift_mean: "drift of means (SDs)", drift_sd: "drift of SDs",
};
function trace() {
  const rows = DATA.trace.flatMap(row => Object.entries(WATCHED).filter(([key]) => row[key] > 0)
    .map(([key, what]) => ({ what, value: row[key], at: row.round ?? row.step, phase: row.phase === "svi" ? "second phase, by step" : "first phase, by round" })));
  if (!rows.length) return null;
  return {
    description: "How far the fit moved", data: { values: rows }, facet: { field: "phase", type: "nominal", title: null }, columns: columnsOf(300),
    resolve: { scale: { x: "independent" } },
    spec: { width: 300, height: 190, mark: { type: "line", point: true }, encoding: {
      x: { field: "at", type: "quantitative", title: null }, y: { field: "value", type: "quantitative", scale: { type: "log" }, title: null },
      color: { field: "what", type: "nominal", title: null, legend: { columns: 2 } }, tooltip: [{ field: "what" }, { field: "at" }, { field: "value" }] } },
  };
}

function truth() {
  const rows = [];
  for (const [fate, of] of Object.entries(DATA.truth).slice(0, FIRST_TRUTHS)) {
    of.true.forEach((value, i) => {
      if (value === null || of.estimate[i] === null) return;
      rows.push({ fate, gene: DATA.genes[Math.floor(i / D)], day: DATA.days[i % D], true: value, estimate: of.estimate[i],
        low: of.estimate[i] - 1.96 * of.se[i], high: of.estimate[i] + 1.96 * of.se[i] });
    });
  }
  const limit = Math.max(...rows.flatMap(row => [Math.abs(row.true), Math.abs(row.estimate)])) * 1.1;
  const x = { field: "true", type: "quantitative", title: "true effect (logit)", scale: { domain: [-limit, limit] } };
  return {
    description: "Estimates against true effects", data: { values: rows },
    facet: { row: { field: "fate", type: "nominal", title: null }, column: { field: "day", type: "ordinal", sort: DATA.days, title: null } },
    spec: { width: 200, height: 200, layer: [
      { data: { values: [{ at: -limit }, { at: limit }] }, mark: { type: "line", strokeDash: [4, 3], color: PLAIN }, encoding: { x: { field: "at", type: "quantitative" }, y: { field: "at", type: "quantitative" } } },
      { mark: { type: "rule", color: PLAIN, clip: true }, encoding: { x, y: { field: "low", type: "quantitative", scale: { domain: [-limit, limit] }, title: "estimate" }, y2: { field: "high" } } },
      { mark: { type: "point", filled: true, color: COLOURS[0], size: 28, cursor: "pointer" }, encoding: { x, y: { field: "estimate", type: "quantitative" },
        tooltip: [{ field: "gene" }, { field: "day" }, { field: "true", format: ".2f" }, { field: "estimate", format: ".2f" }] } },
    ] },
  };
}

function certificate() {
  const rows = DATA.certificate.z;
  if (!rows.length) return null;
  const limit = Math.max(...rows.flatMap(row => [Math.abs(row.normal), Math.abs(row.z)])) * 1.05;
  const scale = { domain: [-limit, limit] };
  return {
    description: "Quantiles of z where nothing acts against those of a normal", data: { values: rows },
    facet: { field: "what", type: "nominal", title: null }, columns: columnsOf(240),
    spec: { width: 240, height: 240, layer: [
      { data: { values: [{ at: -limit }, { at: limit }] }, mark: { type: "line", strokeDash: [4, 3], color: PLAIN }, encoding: { x: { field: "at", type: "quantitative" }, y: { field: "at", type: "quantitative" } } },
      { mark: { type: "point", filled: true, size: 30 }, encoding: { color: fateColour([...new Set(rows.map(row => row.fate))]),
        x: { field: "normal", type: "quantitative", title: "expected where nothing acts", scale }, y: { field: "z", type: "quantitative", title: "found (z)", scale },
        tooltip: [{ field: "fate" }, { field: "normal", format: ".2f" }, { field: "z", format: ".2f" }] } },
    ] },
  };
}

let begin;
const begun = new Promise(resolve => { begin = resolve; });  // the libraries are there

const PICTURES = { certificate, overview, volcano, everything, composition, certainty, burden, power, trace, truth };

async function draw(place, spec, name) {
  if (!spec) { place.remove(); return; }
  if (!spec.data.values.length) { place.replaceChildren("Nothing to show: no number is known."); return; }
  await begun;
  const many = spec.data.values.length > MANY_CELLS;
  const { view } = await vegaEmbed(place, spec, {
    mode: "vega-lite", renderer: many ? "canvas" : "svg", config: CONFIG, downloadFileName: name,
    actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false }, scaleFactor: { png: 3 },
  });
  view.addEventListener("click", (event, item) => { if (item?.datum?.gene && DATA.genes.includes(item.datum.gene)) showGene(item.datum.gene); });
  place.querySelector("summary")?.setAttribute("aria-label", `Save the picture “${name}”`);
}

const drawn = new Set();
function drawOnce(place) {
  if (drawn.has(place)) return null;
  drawn.add(place);
  return draw(place, PICTURES[place.dataset.picture](), place.dataset.picture);
}

// ------------------------------------------------------------------- the panel of a gene

function sentence(hit) {
  const fate = hit.fate ?? hit.contrast;
  const way = { gain: "go more often to", loss: "go less often to" }[hit.direction] ?? `first ${hit.direction.split(" then ").map(w => w === "gain" ? "gain" : "lose").join(", then ")}`;
  return `On ${hit.active_days.replaceAll("; ", ", ")} cells with its guides ${way} ${fate}: ${signed(hit.percent_points)} percentage points on ${hit.strongest_day} (${signed(hit.percent_points_low)} to ${signed(hit.percent_points_high)}), odds × ${oddsInWords(hit.effect)} (${oddsInWords(hit.effect_low)} to ${oddsInWords(hit.effect_high)}); ${hit.guides_agree} guides agree.`
    + (hit.replicates_agree ? ` Replicates that agree: ${hit.replicates_agree}.` : "") + (hit.marks ? ` Look twice: ${hit.marks}.` : "");
}

const timeAxis = () => {
  const labels = JSON.stringify(Object.fromEntries(DATA.days.map((day, d) => [DATA.times[d], day])));
  return { field: "time", type: "quantitative", title: null, scale: { zero: false, padding: 14 }, axis: { values: DATA.times, labelExpr: `(${labels})[datum.value] || datum.label`, labelAngle: -45, grid: false } };
};

function trajectory(gene) {
  const step = (Math.max(...DATA.times) - Math.min(...DATA.times) || 1) / 60;
  const rows = effectRows([gene], DATA.fates).flatMap(row => [
    { ...row, kind: "as the labels alone say (before shrinkage)", value: row.estimate, spread: row.se, time: row.time - step },
    { ...row, kind: "after shrinkage (the calls rest on it)", value: row.effect, spread: row.sd, time: row.time },
  ]).filter(row => row.value !== null).map(row => ({ ...row, low: row.value - 1.96 * row.spread, high: row.value + 1.96 * row.spread }));
  const kinds = [...new Set(rows.map(row => row.kind))].sort((a, b) => a < b ? -1 : 1);
  const x = timeAxis(), color = { field: "kind", type: "nominal", title: null, scale: { domain: ["as the labels alone say (before shrinkage)", "after shrinkage (the calls rest on it)"], range: [PLAIN, "#0072b2"] }, legend: { columns: innerWidth < 640 ? 1 : 2 } };
  return {
    description: `Effect of ${gene} on each fate by day`, data: { values: rows }, facet: { field: "fate", type: "nominal", sort: DATA.fates, title: null }, columns: columnsOf(230),
    spec: { width: 230, height: 180, layer: [
      { mark: { type: "rule", color: PLAIN, strokeDash: [4, 3] }, encoding: { y: { datum: 0 } } },
      { mark: { type: "rule", strokeWidth: 2 }, encoding: { x, color, y: { field: "low", type: "quantitative", title: "effect (logit), 95 %" }, y2: { field: "high" } } },
      { transform: [{ filter: "datum.kind !== 'as the labels alone say (before shrinkage)'" }], mark: { type: "line" }, encoding: { x, color, y: { field: "value", type: "quantitative" } } },
      { mark: { type: "point", filled: true, size: 55, opacity: 1 }, encoding: { x, color, y: { field: "value", type: "quantitative" }, tooltip: [...TIP.slice(1, 3), { field: "kind", title: "which" }, { field: "value", format: ".2f" }, { field: "low", format: ".2f" }, { field: "high", format: ".2f" }, { field: "cells" }, { field: "state" }] } },
    ] },
  };
}

const guidesOf = (gene) => DATA.guides.names.map((guide, g) => ({ guide, g })).filter(({ g }) => DATA.genes[DATA.guides.gene[g]] === gene);

function guidePicture(gene) {
  const guides = guidesOf(gene);
  const rows = DATA.fates.flatMap(fate => guides.flatMap(({ guide, g }, n) => DATA.days.map((day, d) => {
    const of = DATA.guides.by_fate[fate], i = g * D + d;
    const shift = (n - (guides.length - 1) / 2) * (Math.max(...DATA.times) - Math.min(...DATA.times) || 1) / 90;
    return { fate, guide, day, time: DATA.times[d] + shift, value: of.estimate[i], low: of.estimate[i] - 1.96 * of.se[i], high: of.estimate[i] + 1.96 * of.se[i], cells: DATA.guides.n_cells[i] };
  }))).filter(row => row.value !== null && row.cells > 0);
  const x = timeAxis(), color = { field: "guide", type: "nominal", title: null, legend: { columns: legendColumns(guides.map(({ guide }) => guide)) } };
  return {
    description: `Effects of the guides of ${gene}`, data: { values: rows }, facet: { field: "fate", type: "nominal", sort: DATA.fates, title: null }, columns: columnsOf(230),
    spec: { width: 230, height: 180, layer: [
      { mark: { type: "rule", color: PLAIN, strokeDash: [4, 3] }, encoding: { y: { datum: 0 } } },
      { mark: { type: "rule", opacity: 0.55 }, encoding: { x, color, y: { field: "low", type: "quantitative", title: "effect (logit), 95 %" }, y2: { field: "high" } } },
      { mark: { type: "line", point: { filled: true, size: 45 } }, encoding: { x, color, y: { field: "value", type: "quantitative" }, tooltip: [{ field: "guide" }, { field: "fate" }, { field: "day" }, { field: "value", format: ".2f" }, { field: "cells" }] } },
    ] },
  };
}

function table(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map(text => make("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...rest.map(text => make("td", {}, String(text ?? "")))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", { class: "plain" }, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body)));
}

function survivalTable(gene) {
  const own = DATA.survival.filter(row => row.gene === gene);
  if (!own.some(row => row.change !== null)) return [];
  const percent = (change) => signed(100 * (Math.exp(change) - 1), 0) + " %";
  const names = [...new Set(own.map(row => row.guide))];
  const rows = names.map(guide => [guide || "all guides of the gene", ...DATA.days.map(day => {
    const row = own.find(one => one.guide === guide && one.day === day);
    if (!row || row.change === null) return "–";
    return `${percent(row.change)} (${percent(row.change - 1.96 * row.change_se)} to ${percent(row.change + 1.96 * row.change_se)})${row.depleted === "yes" ? ", rarer" : ""}`;
  })]);
  return [make("h3", {}, "Survival"),
    make("p", { class: "fine" }, "Whether its cells get rarer against cells with control guides. A gene that kills cells of one fate looks as if it moved the others."),
    table("Change of its cells since the first day, against controls (95 %)", ["Guide", ...DATA.days], rows)];
}

const RESTS_ON = {
  by_replicate: "Effect in each replicate (logit, before shrinkage)", replicates_agree: "Replicates that agree",
  largest_guide: "Guide with most cells", largest_guide_share: "its share of the gene's cells",
  largest_part: "Largest part: a guide in a replicate", largest_part_share: "its share of the gene's cells",
  without_a_guide: "Effect when any one guide is left out", without_a_replicate: "Effect when any one replicate is left out",
  without_largest_part: "Effect without the largest part", weakest_without: "Weakest without this guide in this replicate",
  weakest_without_estimate: "Effect then", survives: "Still clear then", marks: "Look twice because",
};

function supportTable(gene) {
  const own = DATA.support.filter(row => row.gene === gene);
  if (!own.length) return [];
  const shown = own.map(row => ({ ...row,
    ...Object.fromEntries(["largest_guide_share", "largest_part_share"].filter(name => row[name] != null).map(name => [name, `${round(100 * row[name], 0)} %`])),
    without_a_guide: row.without_a_guide_low == null ? null : `${signed(row.without_a_guide_low, 2)} to ${signed(row.without_a_guide_high, 2)}`,
    without_a_replicate: row.without_a_replicate_low == null ? null : `${signed(row.without_a_replicate_low, 2)} to ${signed(row.without_a_replicate_high, 2)}`,
  }));
  const rows = Object.entries(RESTS_ON).filter(([name]) => shown.some(row => row[name] != null && row[name] !== ""));
  return [make("h3", {}, "What its hits rest on"),
    table("Effects in logit on the strongest day, before shrinkage, when parts of the cells are left out", ["", ...shown.map(row => `${row.fate}, ${row.day}`)],
      rows.map(([name, what]) => [what, ...shown.map(row => typeof row[name] === "number" ? signed(row[name], 2) : row[name])]))];
}

function showGene(gene) {
  const body = element("gene-body"), g = DATA.genes.indexOf(gene);
  const hits = DATA.hits.filter(hit => hit.gene === gene);
  element("gene-title").textContent = gene;
  const courses = make("div", { class: "picture" }), guides = make("div", { class: "picture" });
  const byDay = (of) => DATA.days.map((_, d) => of(g * D + d));
  const points = Object.entries(DATA.points).map(([fate, of]) => [fate, ...byDay(i => of.change[i] === null ? "no cells" : `${signed(of.change[i])} (${signed(of.low[i])} to ${signed(of.high[i])})`)]);
  const cells = [["all guides of the gene", ...byDay(i => DATA.effects.n_cells[i])],
    ...guidesOf(gene).map(({ guide, g: row }) => [guide, ...DATA.days.map((_, d) => DATA.guides.n_cells[row * D + d])])];
  body.replaceChildren(
    ...(hits.length ? hits.map(hit => make("p", {}, sentence(hit))) : [make("p", {}, DATA.withheld.some(hit => hit.gene === gene) ? "Withheld: the certificate failed, so this is no hit before the reason is found. What its cells show:" : "Not a hit: it passes the rule on no day of any fate. What its cells show:")]),
    make("h3", {}, "Effect over time, by fate"),
    make("p", { class: "fine" }, "Above the dashed line: cells with its guides go to the fate more often. Grey: what the labels of these cells say by themselves. Blue: after shrinkage, that is drawn towards what all genes and days make likely; the calls rest on it. Bars hold the true value with a probability of 95 %."),
    courses,
    table("Change in percentage points by day (95 %), after shrinkage", ["Fate", ...DATA.days], points),
    make("h3", {}, "Its guides"),
    make("p", { class: "fine" }, guidesOf(gene).length > 1 ? "Each guide by itself, before shrinkage. Guides that go apart: one may be inactive or act off its target." : "The gene has one guide: whether the effect is the gene's or the guide's cannot be told."),
    guides,
    table("Cells by day", ["Guide", ...DATA.days], cells),
    ...supportTable(gene),
    ...survivalTable(gene),
  );
  draw(courses, trajectory(gene), `${gene}-effects`);
  draw(guides, guidePicture(gene), `${gene}-guides`);
  if (!element("gene").open) element("gene").showModal();
  element("gene").scrollTop = 0;
  const hash = `#gene=${encodeURIComponent(gene)}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

function followHash() {
  if (!location.hash.startsWith("#gene=")) return;
  const gene = decodeURIComponent(location.hash.slice(6));
  if (DATA.genes.includes(gene)) showGene(gene); else element("not-found").textContent = `There is no gene ${gene}.`;
}

// ---------------------------------------------------------------------------- the start

const TABLES = [];
function startTable(id) {
  if (!element(id)) return;
  const name = id.replace("-table", "");
  TABLES.push(new DataTable(`#${id}`, {
    pageLength: 15, lengthMenu: [15, 50, { label: "all", value: -1 }], order: [], autoWidth: false,
    layout: { topStart: ["pageLength", { buttons: [{ extend: "copy", text: "Copy" }, { extend: "csv", text: "Download CSV", filename: name }] }], topEnd: "search" },
    language: { search: `Search ${name}:`, lengthMenu: "_MENU_ rows", info: "_START_ to _END_ of _TOTAL_", infoEmpty: "none", infoFiltered: "(of _MAX_)" },
  }));
}

function startPrinting() {
  addEventListener("beforeprint", () => TABLES.forEach(one => one.page.len(-1).draw()));
  addEventListener("afterprint", () => TABLES.forEach(one => one.page.len(15).draw()));
}

function startFinding() {
  element("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = element("gene-name").value.trim();
    const gene = DATA.genes.find(one => one === typed) ?? DATA.genes.find(one => one.toLowerCase() === typed.toLowerCase());
    element("not-found").textContent = gene ? "" : `There is no gene ${typed || "without a name"}.`;
    if (gene) showGene(gene);
  });
  element("close").addEventListener("click", () => element("gene").close());
  element("gene").addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  addEventListener("hashchange", followHash);
}

const later = window.requestIdleCallback ?? (work => setTimeout(work, 200));

function startPictures() {
  const places = [...document.querySelectorAll("[data-picture]")];
  drawOnce(places[0]).finally(() => later(() => startTable("hits-table")));  // the first picture first
  const seen = new IntersectionObserver(found => found.filter(one => one.isIntersecting).forEach(one => drawOnce(one.target)), { rootMargin: "300px" });
  places.forEach(place => seen.observe(place));
  later(() => startTable("guides-table"));
  const rest = () => { const next = places.find(place => !drawn.has(place)); if (next) { drawOnce(next); later(rest); } };
  later(rest);  // so that all are there when the page is printed
  element("volcano-fate").addEventListener("change", () => draw(document.querySelector("[data-picture=volcano]"), volcano(), "volcano"));
  const button = element("all-genes");
  button.hidden = DATA.genes.length <= FIRST_GENES;
  button.addEventListener("click", () => { allGenes = true; button.hidden = true; draw(document.querySelector("[data-picture=everything]"), everything(), "everything"); });
}

function startTruth() {
  for (const [fate, of] of Object.entries(DATA.truth ?? {})) {
    const all = of.calls.find(row => row.day === "overall"), fit = of.by_day.find(row => row.day === "overall");
    if (all) element("truth-words").append(make("p", {}, `${fate} against ${DATA.reference}: ${all.tp} gene-days were called rightly, ${all.fp} wrongly, and ${all.fn} true effects were missed.` + (fit ? ` ${round(100 * fit.coverage95, 0)} % of the 95 % intervals hold the truth.` : "")));
  }
  const fates = Object.keys(DATA.truth ?? {});
  if (fates.length > FIRST_TRUTHS) element("truth-words").append(make("p", {}, `The picture shows ${fates.slice(0, FIRST_TRUTHS).join(", ")}; all ${fates.length} fates stand in the files contrast=FATE/recovery_by_day.csv.`));
}

// Text and first rows stand before the libraries are run: that takes longer than all the rest.
function startLibraries() {
  for (const library of document.querySelectorAll("script[data-library]")) {
    library.replaceWith(Object.assign(document.createElement("script"), { textContent: library.textContent }));
  }
  begin();
}

startFinding();
startTruth();
followHash();
requestAnimationFrame(() => setTimeout(() => {
  startLibraries();
  startPrinting();
  startPictures();
}));
