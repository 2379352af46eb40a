// The light or dark theme: that of Airflow's page around this one, else that of the browser.
"use strict";
(() => {
  const own = document.documentElement;
  let outer = null;
  try {
    if (window.parent !== window) outer = window.parent.document.documentElement;
  } catch {
    // the page around is of another origin: use the browser's theme
  }
  const follow = () => {
    const theme = ["dark", "light"].find((name) => outer?.classList.contains(name));
    if (theme) own.dataset.theme = theme;
    else delete own.dataset.theme;
  };
  follow();
  if (outer) new MutationObserver(follow).observe(outer, {attributes: true, attributeFilter: ["class"]});
})();
