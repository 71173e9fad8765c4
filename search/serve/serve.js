"use strict";
// Shows the report in a frame, and a newer one in its place when there is one. The new frame is
// loaded behind the old one, scrolled to the same place, and only then shown.
(() => {
  const byId = (id) => document.getElementById(id);
  const frames = byId("frames");
  let shown = null;
  let version = 0;
  let loading = false;

  const viewOf = (frame) => {
    const page = frame.contentDocument;
    const view = frame.contentWindow;
    const fields = [...page.querySelectorAll("input, select")];
    return {
      x: view.scrollX,
      y: view.scrollY,
      // From the end: a long page that grows in its middle keeps its end.
      folds: [...page.querySelectorAll("details")].map((fold) => fold.open),
      fields: fields.map((field) =>
        field.type === "checkbox" || field.type === "radio" ? field.checked : field.value),
      hash: view.location.hash,
    };
  };

  const restoreView = (frame, view) => {
    const page = frame.contentDocument;
    const folds = [...page.querySelectorAll("details")];
    if (folds.length === view.folds.length) {
      folds.forEach((fold, number) => { fold.open = view.folds[number]; });
    }
    const fields = [...page.querySelectorAll("input, select")];
    if (fields.length === view.fields.length) {
      fields.forEach((field, number) => {
        const value = view.fields[number];
        const name = typeof value === "boolean" ? "checked" : "value";
        if (field.type === "file" || field[name] === value) return;
        field[name] = value;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.dispatchEvent(new Event("change", { bubbles: true }));
      });
    }
    frame.contentWindow.scrollTo({ left: view.x, top: view.y, behavior: "instant" });
  };

  const loadReport = (newest) => {
    loading = true;
    const frame = document.createElement("iframe");
    frame.title = "report";
    frame.className = "waiting";
    const view = () => (shown ? viewOf(shown) : null);
    frame.addEventListener("load", () => {
      if (!frame.contentDocument || !frame.contentDocument.querySelector("body *")) {
        frame.remove(); // it did not come; the next poll tries again
        loading = false;
        return;
      }
      const from = view();
      if (from) restoreView(frame, from);
      frame.classList.remove("waiting");
      const old = shown || byId("empty");
      const had = shown !== null && document.activeElement === shown;
      shown = frame;
      if (old) old.remove();
      if (had) frame.focus();
      version = newest;
      loading = false;
    }, { once: true });
    const hash = shown ? viewOf(shown).hash : "";
    frame.src = `/report.html?version=${newest}${hash}`;
    frames.append(frame);
  };

  const showState = (state) => {
    document.title = `${state.study} - Triptych`;
    byId("study").textContent = state.study;
    byId("progress").max = Math.max(1, state.total);
    byId("progress").value = state.done;
    byId("count").textContent = state.total ? `${state.done} of ${state.total} cells` : "";
    byId("sentence").textContent = state.sentence;
    byId("sealed").hidden = !(state.sealed && state.version);
    byId("download").hidden = !state.version;
    byId("problem").hidden = !state.problem;
    byId("problem").textContent = state.problem;
    if (state.version !== version && state.version && !loading) loadReport(state.version);
  };

  const poll = async () => {
    try {
      const answer = await fetch("/state.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(`${answer.status}`);
      showState(await answer.json());
    } catch {
      byId("sentence").textContent = "the server has ended; what is shown is its last report";
    }
    setTimeout(poll, 2000);
  };
  poll();
})();
