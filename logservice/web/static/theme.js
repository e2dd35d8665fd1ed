// Runs before anything is drawn, so that a dark page never flashes light. A choice is kept; none is the system's.
document.documentElement.dataset.theme =
  localStorage.getItem("logservice.theme") ??
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
