"use strict";
// What the theme adds while a page is read gets a name, and what scrolls can be reached by keyboard.
{
  let code = 0, tables = 0;
  const mend = () => {
    for (const nav of document.querySelectorAll(".md-code__nav:not([aria-label])")) nav.setAttribute("aria-label", `Code ${++code}`);
    for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
      wrap.tabIndex = 0;
      wrap.setAttribute("role", "region");
      wrap.setAttribute("aria-label", `Table ${++tables}`);
    }
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
  mend();
}
