// One cell: what it is, what it reached, its configuration, its curve, and how to make it again.
function showCell(key) {
  const all = cells();
  const place = all.places.get(key);
  const view = byId("cell-view");
  byId("cells-list").hidden = true;
  view.hidden = false;
  if (place === undefined) {
    byId("cells-title").textContent = "No such cell";
    view.replaceChildren(
      element("p", {}, `This report has no cell “${key}”.`),
      element("p", {}, element("a", { href: "#arm=" }, "All cells")),
    );
    return;
  }
  const arm = all.arms[all.arm[place]];
  const phase = all.phases[all.phase[place]];
  const back = new URLSearchParams({ arm, phase, candidate: all.candidate[place] });
  byId("cells-title").textContent = `Cell ${key}`;
  const command = `${all.command} ${key}`;
  view.replaceChildren(
    element("p", {}, element("a", { href: `#${back}` }, "← the cells of this candidate")),
    definitions([
      ["Arm", arm],
      ["Phase", phase],
      ["Candidate", String(all.candidate[place])],
      ["Seed", String(all.seed[place])],
      ["Status", all.statuses[all.status[place]]],
      ["Epochs", shown(all.epochs[place])],
      ...(all.reasons[key] ? [["Why", all.reasons[key]]] : []),
    ]),
    element("h3", {}, "Make it again"),
    commandLine(command),
    ...curveOf(place),
    ...metricsOf(place),
    ...configurationOf(place),
  );
  byId("cells-title").focus();
}

function definitions(pairs) {
  return element("dl", {}, ...pairs.flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
}

function commandLine(command) {
  const said = element("output", { "aria-live": "polite" });
  const copy = element("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      said.textContent = "copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(line);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = "selected";
    }
  });
  const line = element("code", { class: "command" }, command);
  return element("p", { class: "command-line" }, line, " ", copy, " ", said);
}

function metricsOf(place) {
  const all = cells();
  const first = (m) => (m.name.endsWith(`.${all.primary}`) ? 0 : 1);
  const known = all.metrics
    .filter((m) => Number.isFinite(m.values[place]))
    .sort((a, b) => first(a) - first(b));
  if (!known.length) return [];
  return [element("h3", {}, "Metrics"),
    definitions(known.map((m) => [m.label, shown(m.values[place])]))];
}

function configurationOf(place) {
  const all = cells();
  const arm = all.arm[place];
  const changes = all.changes[arm];
  const searched = new Set(all.searched[arm]);
  const own = all.params
    .map((item) => ({ item, value: paramOf(item, place) }))
    .filter(({ value }) => value !== null);
  const line = ({ item, value }) => [`${item.label}`, item.path, value];
  const fixed = Object.entries(changes).map(([path, value]) => {
    const item = all.params.find((one) => one.path === path);
    return [item ? item.label : path, path, value];
  });
  const chosen = own.filter(({ item }) => searched.has(item.path)).map(line);
  const rest = own
    .filter(({ item }) => !searched.has(item.path) && !(item.path in changes))
    .map(line);
  const parts = [element("h3", {}, "Configuration")];
  parts.push(...listed("What the arm changes in the base configuration", fixed));
  parts.push(...listed("What this candidate was given", chosen));
  if (rest.length) {
    parts.push(element("details", { class: "fold" },
      element("summary", {}, `As in the base configuration (${rest.length} fields)`),
      ...listed("", rest)));
  }
  return parts;
}

function listed(title, lines) {
  if (!lines.length) return [];
  const pairs = lines.map(([label, path, value]) => [
    label === path ? element("code", {}, path)
      : element("span", {}, label, element("small", {}, element("code", {}, path))),
    element("code", {}, value),
  ]);
  return [...(title ? [element("p", { class: "lead" }, title)] : []), definitions(pairs)];
}

function curveOf(place) {
  const curve = cells().curve.get(place);
  if (!curve || curve.points.length < 2) return [];
  const [width, height, edge] = [320, 72, 6];
  const last = curve.points.length - 1;
  let path = "";
  let pen = "M";
  curve.points.forEach((point, i) => {
    if (point === 255) { // undefined at this epoch
      pen = "M";
      return;
    }
    const x = edge + (i / last) * (width - 2 * edge);
    const y = height - edge - (point / 254) * (height - 2 * edge);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.setAttribute("class", "spark");
  drawing.setAttribute("role", "img");
  const words = `Validation curve over ${curve.epochs} epochs, `
    + `${shown(curve.low, 4)} to ${shown(curve.high, 4)}`;
  drawing.setAttribute("aria-label", words);
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  drawing.append(line);
  const label = cells().metrics.find((m) => m.name === `valid.${cells().primary}`);
  return [
    element("h3", {}, "Validation curve"),
    element("figure", {}, drawing,
      element("figcaption", {}, `${label ? label.label : "Primary metric"}: ${words.slice(11)}.`)),
  ];
}
