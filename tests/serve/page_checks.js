/* What a person with other eyes, hands or a keyboard meets: checks of the tests, run in the page.
   One expression: an object of functions, each returning a list of what it found. */
({
  /** Controls without an accessible name. */
  unnamed() {
    const name = (e) => e.getAttribute("aria-label")
      || [...(e.labels ?? [])].map((label) => label.textContent).join("") || e.textContent;
    return [...document.querySelectorAll("button, input, select, textarea, summary, a, video")]
      .filter((e) => !e.closest("dialog:not([open])") && !name(e).trim())
      .map((e) => e.outerHTML.slice(0, 80));
  },

  /** Touch targets smaller than 44 px. */
  small() {
    return [...document.querySelectorAll("button, select, summary, label, input")]
      .filter((e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
      .filter((e) => !e.closest("dialog"))
      .map((e) => e.closest("label") ?? e)
      .map((e) => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
      .filter(([, box]) => box.width > 1 && (box.width < 43.9 || box.height < 43.9))
      .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`);
  },

  /** [contrast, text] of each visible text with its ground (WCAG 2.2, 1.4.3); on the portrait and
      before its echo as if they were white, and as if they were black. */
  contrasts() {
    const channels = (text) => {
      const found = text.match(/[\d.]+/g).map(Number);
      return [...found.slice(0, 3).map((x) => x * (text.startsWith("color(") ? 255 : 1)), found[3] ?? 1];
    };
    const over = (top, low) => [0, 1, 2].map((i) => top[i] * top[3] + low[i] * (1 - top[3]));
    const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    const luminance = (rgb) => {
      const [r, g, b] = rgb.map((x) => linear(x / 255));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element, worst) => {
      const layers = [];
      const ambience = document.getElementById("ambience");
      for (let e = element; e && layers.at(-1)?.[3] !== 1; e = e.parentElement) {
        if (e === document.body) layers.push([...worst, Number(getComputedStyle(ambience).opacity)]);
        layers.push(channels(getComputedStyle(e).backgroundColor));
        if (e.id === "frame") layers.push([...worst, 1]);
      }
      return layers.reverse().reduce((low, top) => over(top, low), [0, 0, 0]);
    };
    const isRead = (e, text) => text && e.checkVisibility({ opacityProperty: true, visibilityProperty: true })
      && !e.closest(".hidden, script, option, [aria-hidden=true], :has(> :disabled)")
      && e.getBoundingClientRect().width > 1;
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent.trim();
      for (const worst of isRead(element, text) ? [[255, 255, 255], [0, 0, 0]] : []) {
        const low = ground(element, worst);
        const ink = over(channels(getComputedStyle(element).color), low);
        const [light, dark] = [luminance(ink), luminance(low)].sort((a, b) => b - a);
        found.push([Math.round((100 * (light + 0.05)) / (dark + 0.05)) / 100, text.slice(0, 40)]);
      }
    }
    return found;
  },

  /** [name of what has the focus, whether a ring shows it]. */
  focused() {
    const e = document.activeElement;
    const near = e.closest("label, .field, .strip label") ?? e;
    const ringed = [e, near, ...near.querySelectorAll("img, span, svg")]
      .some((x) => getComputedStyle(x).outlineStyle !== "none");
    return [e.id || e.name || e.tagName, ringed];
  },

  /** Animations that run. */
  moving() {
    return document.getAnimations().filter((a) => a.playState === "running").map((a) => a.animationName);
  },
})
