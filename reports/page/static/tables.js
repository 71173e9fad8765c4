// Tables that sort, filter, turn pages and choose their columns. Without JavaScript they are whole.
function startTables() {
  for (const table of document.querySelectorAll("table.verdicts, table.paged")) {
    const view = tableView(table);
    if (table.id) views.set(table.id, view);
    view.show();
  }
  for (const tools of document.querySelectorAll("[data-tools]")) {
    startTools(tools, views.get(tools.dataset.tools));
  }
}

const views = new Map();

function tableView(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const size = Number(table.dataset.page || 25);
  const view = { table, rows, whole: false, accepts: () => true, count: null, show, sort, column };
  const more = element("button", { type: "button", class: "more" });
  more.addEventListener("click", () => {
    view.whole = !view.whole;
    show();
  });
  (table.closest(".scroll") || table).after(more);
  table.querySelectorAll("thead th[data-sort] button").forEach((button) => {
    const head = button.closest("th");
    button.addEventListener("click", () => {
      sort(head.cellIndex, head.getAttribute("aria-sort") === "ascending" ? -1 : 1);
    });
  });

  function show() {
    const fitting = [...body.rows].filter((row) => view.accepts(row));
    const limit = view.whole ? Infinity : size;
    const kept = new Set(fitting.slice(0, limit));
    for (const row of rows) {
      row.hidden = !kept.has(row);
      // Paper has no button: every row that the filter lets through is printed.
      row.toggleAttribute("data-folded", row.hidden && fitting.includes(row));
    }
    more.hidden = fitting.length <= size;
    more.textContent = view.whole ? `Show the first ${size}` : `Show all ${fitting.length} rows`;
    if (view.count) view.count(fitting.length);
  }

  function sort(index, direction) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, i) => {
      if (!head.dataset.sort) return;
      const word = direction > 0 ? "ascending" : "descending";
      head.setAttribute("aria-sort", i === index ? word : "none");
    });
    const numeric = heads[index].dataset.sort === "number";
    const valued = rows.map((row, place) => ({ row, place, value: row.cells[index].dataset.v }));
    valued.sort((a, b) => {
      // What is missing comes last in either direction.
      if (a.value === undefined || b.value === undefined) {
        return (a.value === undefined) - (b.value === undefined) || a.place - b.place;
      }
      const order = numeric ? Number(a.value) - Number(b.value) : a.value.localeCompare(b.value);
      return direction * order || a.place - b.place;
    });
    body.append(...valued.map((item) => item.row));
    show();
  }

  function column(id, visible) {
    const head = table.querySelector(`th[data-col="${CSS.escape(id)}"]`);
    if (head.hidden === !visible) return;
    const index = head.cellIndex;
    head.hidden = !visible;
    for (const row of rows) row.cells[index].hidden = !visible;
  }
  return view;
}

function startTools(tools, view) {
  const text = tools.querySelector("[data-filter]");
  const verdict = tools.querySelector("[data-verdict]");
  const order = tools.querySelector("[data-sort-by]");
  const count = tools.querySelector("[data-count]");
  const heads = new Map(view.rows.map((row) => [row, row.cells[0].textContent.toLowerCase()]));
  tools.addEventListener("submit", (event) => event.preventDefault());
  view.accepts = (row) =>
    heads.get(row).includes(text.value.trim().toLowerCase()) &&
    (!verdict.value || row.dataset.verdict === verdict.value);
  view.count = (found) => {
    const all = view.rows.length;
    const words = found === all ? `${all} arms` : `${found} of ${all} arms`;
    if (count.textContent !== words) count.textContent = words;
  };
  text.addEventListener("input", view.show);
  verdict.addEventListener("change", view.show);
  order.addEventListener("change", () => {
    if (order.value) view.sort(Number(order.value), 1);
  });
  for (const box of tools.querySelectorAll("[data-column]")) {
    view.column(box.dataset.column, box.checked); // a browser may remember boxes over a reload
    box.addEventListener("change", () => view.column(box.dataset.column, box.checked));
  }
  view.show();
}
