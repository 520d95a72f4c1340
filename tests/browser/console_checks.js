// What is looked for in the console's page: names, contrast, room, and how long a frame took.

globalThis.checks = (() => {
  const CONTROLS = "button, input:not([type=hidden]), select, textarea, a[href], [role=tab], [role=listbox], [role=option], dialog, [tabindex='0']";

  function visible(element) {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const { width, height } = element.getBoundingClientRect();
    return width > 1 && height > 1;
  }

  function nameOf(element) {
    return element.id || element.getAttribute("aria-label") || element.textContent.trim() || element.outerHTML.slice(0, 80);
  }

  /** What a screen reader says, as far as this page has ways to say it. */
  function label(element) {
    const by = (element.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean);
    const texts = by.map((id) => document.getElementById(id)?.textContent ?? "");
    const labels = [...(element.labels ?? [])].map((one) => one.textContent);
    const own = element.matches("input, select, textarea, [role=listbox]") ? "" : element.textContent;
    return [element.getAttribute("aria-label") ?? "", ...texts, ...labels, own].join("").trim();
  }

  function unnamed() {
    return [...document.querySelectorAll(CONTROLS)].filter((one) => visible(one) && !label(one)).map(nameOf);
  }

  /** References to nothing, and ids there are twice. */
  function broken() {
    const found = [];
    for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "aria-activedescendant", "for", "list"]) {
      for (const element of document.querySelectorAll(`[${attribute}]`)) {
        for (const id of element.getAttribute(attribute).split(" ")) {
          if (!document.getElementById(id)) found.push(`${attribute}=${id}`);
        }
      }
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    found.push(...ids.filter((id, index) => ids.indexOf(id) !== index));
    return found;
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  function rgba(color) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  function over([r, g, b, a], below) {
    return [r, g, b].map((value, index) => value * a + below[index] * (1 - a));
  }

  function background(element) {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  }

  function luminance(color) {
    const [r, g, b] = color.map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  /** Texts with less contrast than WCAG's AA; what is disabled may have less. */
  function faint() {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const root = document.querySelector("dialog[open]") ?? document.body;
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim() || !visible(element) || !root.contains(element)) continue;
      if (element.closest("option, :disabled, label:has(:disabled)")) continue;
      const below = background(element);
      const style = getComputedStyle(element);
      const text = over(rgba(style.color), below);
      const [light, dark] = [luminance(text), luminance(below)].sort((a, b) => b - a);
      const contrast = (light + 0.05) / (dark + 0.05);
      if (contrast < 4.5) found.push(`${nameOf(element)}: ${contrast.toFixed(2)}`);
    }
    return found;
  }

  /** What reaches beyond the page's side, unless it can be scrolled to. */
  function tooWide() {
    const { clientWidth, scrollWidth } = document.documentElement;
    const found = scrollWidth > clientWidth ? [`the page: ${scrollWidth} > ${clientWidth}`] : [];
    for (const element of document.querySelectorAll("button, input, select, textarea")) {
      if (!visible(element) || element.closest("#tabs, .kinds")) continue;
      const { left, right } = element.getBoundingClientRect();
      if (left < 0 || right > clientWidth) found.push(nameOf(element));
    }
    return found;
  }

  /** What a finger would miss. */
  function tooSmall() {
    const found = [];
    for (const element of document.querySelectorAll("button, input, select, textarea, [role=option]")) {
      const target = element.type === "checkbox" ? element.closest("label") : element;
      const { width, height } = target.getBoundingClientRect();
      if (visible(target) && (width < 24 || height < 34)) found.push(`${nameOf(element)}: ${width} × ${height}`);
    }
    return found;
  }

  function tabStops() {
    const found = [...document.querySelectorAll("button, input, select, textarea, [tabindex='0']")];
    return found.filter((one) => visible(one) && !one.disabled && one.tabIndex >= 0).map(nameOf);
  }

  let longest = 0;

  function watchFrames() {
    let before = performance.now();
    const frame = (now) => {
      longest = Math.max(longest, now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  return { nameOf, unnamed, broken, faint, tooWide, tooSmall, tabStops, watchFrames, longestFrame: () => longest };
})();
