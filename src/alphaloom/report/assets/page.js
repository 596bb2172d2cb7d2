/* Unpacks the figures and Plotly from this file, and draws each chart when it comes near the screen. */
(() => {
  "use strict";
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  let figures = null;
  let ready = null;

  const problem = (text) => {
    const box = document.getElementById("problem");
    box.textContent = text;
    box.hidden = false;
  };

  const unpack = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const load = () => {
    ready ??= (async () => {
      figures = JSON.parse(await unpack("packed-figures"));
      const address = document.getElementById("packed-plotly").dataset.src; // a server gives the library as a file
      const script = document.createElement("script");
      if (address) {
        const loaded = new Promise((resolve, reject) => {
          script.onload = resolve;
          script.onerror = () => reject(new Error("the chart library did not load"));
        });
        script.src = address;
        document.head.append(script);
        await loaded;
      } else {
        script.textContent = await unpack("packed-plotly");
        document.head.append(script);
      }
    })();
    return ready;
  };

  const merge = (base, extra) => {
    const out = { ...base };
    for (const [key, value] of Object.entries(extra)) {
      const both = value && out[key] && typeof value === "object" && typeof out[key] === "object";
      out[key] = both && !Array.isArray(value) ? merge(out[key], value) : value;
    }
    return out;
  };

  const themed = (layout) => {
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--ink-soft").trim();
    const line = style.getPropertyValue("--line").trim();
    const paper = style.getPropertyValue("--paper").trim();
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line };
    const look = {
      font: { family: "system-ui, sans-serif", size: 12, color: ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
      xaxis: axis,
      yaxis: axis,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink },
    };
    const shaped = merge(look, layout);
    if (window.innerWidth < 600) shaped.margin = { ...shaped.margin, l: 44, r: 6 };
    return shaped;
  };

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };

  // Words in Chinese, by their English; what is not among them stays as it is.
  let words = null;
  let chinese = false;
  const said = (text) => (chinese && words[text]) || text;

  const worded = (layout) => {
    const out = { ...layout };
    for (const name of Object.keys(out).filter((key) => /^[xy]axis/.test(key) && out[key].title?.text)) {
      out[name] = { ...out[name], title: { ...out[name].title, text: said(out[name].title.text) } };
    }
    return out;
  };

  const draw = (box, width) => {
    const { data, layout } = figures[box.dataset.figure];
    const shaped = worded(themed(layout));
    const named = data.map((trace) => (trace.name ? { ...trace, name: said(trace.name) } : trace));
    const traces = named.map((trace) => (trace.type === "heatmap" ? { ...trace, textfont: { color: shaped.font.color } } : trace));
    window.Plotly.react(box, traces, width ? { ...shaped, width } : shaped, config);
    box.classList.add("drawn");
  };

  const redraw = () => plots.filter((box) => box.classList.contains("drawn")).forEach((box) => draw(box));

  const theme = () => {
    const button = document.getElementById("theme");
    const names = ["auto", "light", "dark"];
    let stored = null;
    try {
      stored = localStorage.getItem("alphaloom-theme");
    } catch {
      stored = null; // storage is refused for some local files; the page then starts from the system's setting
    }
    let current = names.includes(stored) ? stored : "auto";
    const apply = () => {
      root.dataset.theme = current;
      button.querySelector("span").textContent = current;
      redraw();
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      current = names[(names.indexOf(current) + 1) % names.length];
      try {
        localStorage.setItem("alphaloom-theme", current);
      } catch {
        // not remembered
      }
      apply();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    apply();
  };

  const language = () => {
    const button = document.getElementById("language");
    const packed = document.getElementById("packed-words");
    if (!button || !packed || typeof DecompressionStream === "undefined") return;
    const english = new Map(); // text nodes and hints as they were written
    const apply = () => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, {
        acceptNode: (node) =>
          node.parentElement.closest("script, style, pre, code, .plot, #language, #theme") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
      });
      while (walker.nextNode()) {
        const node = walker.currentNode;
        if (!english.has(node)) english.set(node, node.data);
        const text = english.get(node);
        const plain = text.replace(/[ \t\r\n\f]+/g, " ").replace(/^ | $/g, "");
        const other = said(plain);
        node.data = other === plain ? text : other;
      }
      for (const element of document.querySelectorAll("[title]")) {
        element.dataset.title ??= element.title;
        element.title = said(element.dataset.title);
      }
      root.lang = chinese ? "zh" : "en";
      button.textContent = chinese ? "English" : "中文";
      redraw();
    };
    const turn = async (to) => {
      words ??= JSON.parse(await unpack("packed-words"));
      chinese = to;
      apply();
      try {
        localStorage.setItem("alphaloom-language", chinese ? "zh" : "en");
      } catch {
        // not remembered
      }
    };
    button.hidden = false;
    button.addEventListener("click", () => turn(!chinese));
    try {
      if (localStorage.getItem("alphaloom-language") === "zh") turn(true);
    } catch {
      // storage is refused for some local files; the page then starts in English
    }
  };

  theme();
  language();
  if (!plots.length) return;
  if (typeof DecompressionStream === "undefined") {
    problem("This browser is too old to unpack the charts. All tables are complete.");
    return;
  }

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((e) => e.isIntersecting)) {
        watcher.unobserve(entry.target);
        load()
          .then(() => draw(entry.target))
          .catch((error) => {
            problem(`A chart could not be drawn: ${error.message}`);
            console.error(error);
          });
      }
    },
    { rootMargin: "400px 0px" },
  );
  plots.forEach((box) => watcher.observe(box));

  // Paper is white, narrow and cannot be scrolled: draw everything in the light theme, and undo it afterwards.
  const paperWidth = 680;
  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    if (figures && window.Plotly) plots.forEach((box) => draw(box, paperWidth));
  });
  addEventListener("afterprint", () => {
    root.dataset.theme = before ?? "auto";
    redraw();
  });
  // Unpack while nothing else happens, so that a page printed without scrolling has its charts.
  setTimeout(() => load().catch((error) => problem(`The charts could not be unpacked: ${error.message}`)), 1500);
})();
