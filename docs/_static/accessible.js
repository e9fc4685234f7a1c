// What the theme leaves out, for keyboards and screen readers.
for (const caption of document.querySelectorAll('.caption[role="heading"]'))
  caption.setAttribute("aria-level", "2");
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "pages");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "sections of this page");
for (const wide of document.querySelectorAll("pre, .table-wrapper, .output_area"))
  wide.tabIndex = 0;
