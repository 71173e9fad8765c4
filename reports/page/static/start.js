// Everything starts here. Contents stand open where there is room for them at the side.
function startContents() {
  const contents = byId("contents");
  const wide = matchMedia("(min-width: 1180px)");
  const fit = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) contents.open = false;
  });
}

// A link into a fold opens it; paper has all folds open.
function startFolds() {
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("main details:not([open])")) {
      fold.open = true;
      opened.push(fold);
    }
  });
  addEventListener("afterprint", () => {
    while (opened.length) opened.pop().open = false;
  });
  const reveal = () => {
    const target = byId(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
}

startContents();
startFolds();
startTables();
unpackAll().then(() => {
  startFigures();
  startCells();
  document.documentElement.dataset.ready = "";
});
