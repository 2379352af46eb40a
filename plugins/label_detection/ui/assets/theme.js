// Light or dark: as Airflow's own page around this one has it, else as the browser does.
"use strict";
(() => {
  const own = document.documentElement;
  let outer = null;
  try {
    if (window.parent !== window) outer = window.parent.document.documentElement;
  } catch {
    // a page of somebody else's: none of our business
  }
  const follow = () => {
    const theme = ["dark", "light"].find((name) => outer?.classList.contains(name));
    if (theme) own.dataset.theme = theme;
    else delete own.dataset.theme;
  };
  follow();
  if (outer) new MutationObserver(follow).observe(outer, {attributes: true, attributeFilter: ["class"]});
})();
