// Before anything is shown: the theme that was chosen here before. A classic script, so it does not wait.

(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("nuncio-console-theme");
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
