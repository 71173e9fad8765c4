// The cells panel: the cells behind a number, then one cell. What it shows is in the address.
const PAGE = 25;
let wanted = {};
let page = 0;
let found = [];

function startCells() {
  const panel = byId("cells-panel");
  const tools = byId("cells-tools");
  addEventListener("hashchange", follow);
  byId("cells-close").addEventListener("click", () => panel.close());
  panel.addEventListener("click", (event) => {
    if (event.target === panel) panel.close(); // beside it
  });
  panel.addEventListener("close", () => {
    if (isWanted()) history.replaceState(null, "", location.pathname + location.search);
  });
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", () => {
    if (!panel.open) return;
    const chosen = [...new FormData(tools)].filter(([, value]) => value !== "");
    wanted = Object.fromEntries(chosen);
    const fragment = new URLSearchParams("arm" in wanted ? wanted : { arm: "", ...wanted });
    history.replaceState(null, "", `#${fragment}`);
    page = 0;
    list();
  });
  byId("cells-back").addEventListener("click", () => turn(-1));
  byId("cells-on").addEventListener("click", () => turn(1));
  follow();
}

const isWanted = () => /^#(arm|cell)=/.test(location.hash);

function follow() {
  const panel = byId("cells-panel");
  if (!isWanted()) {
    if (panel.open) panel.close();
    return;
  }
  const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!panel.open) panel.showModal();
  if (asked.cell !== undefined) {
    showCell(asked.cell);
  } else {
    wanted = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== ""));
    page = 0;
    fillTools();
    list();
  }
}

function fillTools() {
  const all = cells();
  const tools = byId("cells-tools");
  const options = { arm: all.arms, phase: all.phases, status: all.statuses };
  for (const [name, values] of Object.entries(options)) {
    const select = tools.elements[name];
    if (!select.options.length) {
      select.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
    }
    select.value = wanted[name] || "";
  }
  for (const name of ["candidate", "seed"]) tools.elements[name].value = wanted[name] || "";
}

function list() {
  const all = cells();
  const codes = {
    arm: all.arms.indexOf(wanted.arm),
    phase: all.phases.indexOf(wanted.phase),
    status: all.statuses.indexOf(wanted.status),
    candidate: Number(wanted.candidate),
    seed: Number(wanted.seed),
  };
  const tests = Object.keys(codes).filter((name) => wanted[name] !== undefined);
  found = [];
  for (let place = 0; place < all.keys.length; place += 1) {
    if (tests.every((name) => all[name][place] === codes[name])) found.push(place);
  }
  byId("cells-list").hidden = false;
  byId("cell-view").hidden = true;
  byId("cells-title").textContent = wanted.arm ? `Cells of “${wanted.arm}”` : "Cells";
  byId("cells-count").textContent = found.length === 1 ? "1 cell" : `${shown(found.length)} cells`;
  drawPage();
}

function drawPage() {
  const all = cells();
  const primary = (split) => all.metrics.find((m) => m.name === `${split}.${all.primary}`);
  const metrics = [primary("valid"), primary("test"), all.metrics.find((m) => m.name === "seconds")]
    .filter(Boolean);
  const table = byId("cells-table");
  const names = ["Cell", "Arm", "Phase", "Candidate", "Seed", "Status", "Epochs"];
  const words = new Set(["Cell", "Arm", "Phase", "Status"]);
  // What all of them have in common is in the title and the choices above.
  const common = new Set([wanted.arm && "Arm", wanted.phase && "Phase"]);
  const kept = (name) => !common.has(name);
  table.tHead.replaceChildren(
    element("tr", {}, ...[...names.filter(kept), ...metrics.map((m) => m.label)].map((name) =>
      element("th", { scope: "col", class: words.has(name) ? "text" : null }, name))),
  );
  table.tBodies[0].replaceChildren(
    ...found.slice(page * PAGE, (page + 1) * PAGE).map((place) => {
      const link = element("a", { class: "n", href: cellLink(place) },
        element("code", {}, all.keys[place]));
      const text = (value) => element("td", { class: "text" }, value);
      const number = (value) => element("td", {}, shown(value));
      return element("tr", {},
        element("th", { scope: "row", class: "text" }, link),
        kept("Arm") ? element("td", { class: "text wrap" }, all.arms[all.arm[place]]) : null,
        kept("Phase") ? text(all.phases[all.phase[place]]) : null,
        element("td", {}, String(all.candidate[place])),
        element("td", {}, String(all.seed[place])),
        text(all.statuses[all.status[place]]),
        number(all.epochs[place]),
        ...metrics.map((m) => number(m.values[place])));
    }),
  );
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  byId("cells-page").textContent = `page ${page + 1} of ${pages}`;
  byId("cells-back").disabled = page === 0;
  byId("cells-on").disabled = page >= pages - 1;
  byId("cells-back").parentElement.hidden = pages === 1;
}

function turn(by) {
  page += by;
  drawPage();
}

const cellLink = (place) => `#${new URLSearchParams({ cell: cells().keys[place] })}`;
