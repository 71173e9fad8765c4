// Figures, drawn by plotly when they come into view; colours follow the page.
const figures = new Map(); // id -> {canvas, plot, chosen, drawn}
let plotly = null;

function startFigures() {
  const plots = JSON.parse(packed.get("plots-data"));
  for (const holder of document.querySelectorAll("[data-plot]")) {
    const id = holder.dataset.plot;
    figures.set(id, {
      canvas: holder.querySelector(".canvas"),
      key: holder.querySelector(".key"),
      plot: plots[id],
      chosen: 0,
      drawn: false,
    });
  }
  const seen = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => draw(e.target.dataset.plot)),
    { rootMargin: "400px" },
  );
  document.querySelectorAll("[data-plot]").forEach((holder) => seen.observe(holder));
  for (const choice of document.querySelectorAll("[data-switch]")) {
    const apply = () => choose(choice.dataset.switch, Number(choice.value));
    choice.addEventListener("change", apply);
    apply(); // a browser may remember a choice over a reload
  }
  const choosers = new Set(Object.values(plots).map((plot) => plot.chooser).filter(Boolean));
  for (const id of choosers) {
    const select = byId(id);
    const apply = () => chooseByName(id, select.value);
    select.addEventListener("change", apply);
    apply();
  }
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", redraw);
  }
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.paper = "";
    for (const id of figures.keys()) draw(id);
    redraw();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.paper;
    redraw();
  });
}

function choose(id, variant) {
  const figure = figures.get(id);
  figure.chosen = variant;
  if (figure.drawn) render(figure);
}

function chooseByName(chooser, name) {
  for (const [id, figure] of figures) {
    if (figure.plot.chooser !== chooser) continue;
    // An arm may have no such figure; then its place is empty.
    choose(id, figure.plot.variants.findIndex((variant) => variant.name === name));
  }
}

function draw(id) {
  const figure = figures.get(id);
  if (figure.drawn) return;
  figure.drawn = true;
  render(figure);
}

function redraw() {
  for (const figure of figures.values()) if (figure.drawn) render(figure);
}

// plotly is 4.8 MB of code: it is not run before a figure needs it.
function loadPlotly() {
  if (!plotly) {
    const script = document.createElement("script");
    script.textContent = packed.get("plotly-source");
    document.head.append(script);
    plotly = window.Plotly;
  }
  return plotly;
}

function render(figure) {
  const library = loadPlotly();
  const { canvas, key, plot, chosen } = figure;
  const shownFigures = plot.variants[chosen] ? plot.variants[chosen].figures : [];
  while (canvas.children.length > shownFigures.length) {
    library.purge(canvas.lastChild);
    canvas.lastChild.remove();
  }
  while (canvas.children.length < shownFigures.length) canvas.append(element("div"));
  const colours = palette();
  key.replaceChildren();
  shownFigures.forEach((one, place) => {
    const target = canvas.children[place];
    const { data, layout } = coloured(structuredClone(one), colours);
    const least = layout.meta && layout.meta.width;
    target.style.minWidth = least ? `${least}px` : "";
    key.append(...data.filter((trace) => trace.name).map(keyEntry));
    library.react(target, data, layout, { displayModeBar: false, responsive: true });
    key.hidden = !key.children.length;
    if (!target.dataset.bound) {
      target.dataset.bound = "1";
      target.on("plotly_click", (event) => openPoint(event.points[0]));
    }
  });
}

const DASHES = { solid: "", dash: "7 5", dot: "2 4", dashdot: "8 4 2 4", longdash: "13 5" };

function keyEntry(trace) {
  const drawing = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ width: 34, height: 10, "aria-hidden": "true" })) {
    drawing.setAttribute(name, value);
  }
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", "M1 5H33");
  line.style.stroke = trace.line.color;
  line.style.strokeDasharray = DASHES[trace.line.dash] || "";
  drawing.append(line);
  return element("li", {}, drawing, element("span", {}, trace.meta.label));
}

function openPoint(point) {
  const meta = point.data.meta;
  if (!meta) return;
  const wanted = { arm: cells().arms[meta.arm], phase: meta.phase };
  if (meta.by) wanted[meta.by] = point.customdata;
  location.hash = new URLSearchParams(wanted).toString();
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const cache = new Map();
  return (token) => {
    if (!cache.has(token)) {
      const [name, share] = token.slice(1).split("/");
      const colour = style.getPropertyValue(`--${name}`).trim();
      cache.set(token, share ? transparent(colour, Number(share)) : colour);
    }
    return cache.get(token);
  };
}

function transparent(colour, share) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${share})`;
}

// Only where a colour belongs: an arm may be called "@ink".
function coloured(value, colours) {
  for (const key of Object.keys(value)) {
    const own = value[key];
    if (typeof own === "string" && /color$/.test(key) && own.startsWith("@")) {
      value[key] = colours(own);
    } else if (own && typeof own === "object") coloured(own, colours);
  }
  return value;
}
