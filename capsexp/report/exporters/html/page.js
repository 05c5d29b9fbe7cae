"use strict";
(() => {
  const root = document.documentElement;
  const { config, plots } = JSON.parse(document.getElementById("specs").textContent);
  const tip = document.getElementById("tip");
  const names = { en: "en", zh: "zh-CN" };
  let lang = root.dataset.choice;
  if (lang === "auto") lang = (navigator.language || "").toLowerCase().startsWith("zh") ? "zh" : "en";

  // Words stand in a specification as {"t": [English, Chinese]}.
  const say = (x) =>
    Array.isArray(x) ? x.map(say)
    : x === null || typeof x !== "object" ? x
    : Array.isArray(x.t) ? x.t[lang === "zh" ? 1 : 0]
    : Object.fromEntries(Object.entries(x).map(([key, value]) => [key, say(value)]));

  const text = (cell) => (cell.querySelector(`:scope > .${lang}`) || cell).textContent.trim();

  // The rows of the table behind a plot, which is all that the plot knows.
  const rows = (table) => {
    const fields = [...table.tHead.rows[0].cells].map((cell) => [cell.dataset.field, cell.dataset.number]);
    return [...table.tBodies[0].rows].map((row) =>
      Object.fromEntries(fields.map(([field, number], at) => {
        const said = text(row.cells[at]);
        return [field, number === undefined ? said : said === "" ? null : Number(said)];
      })));
  };

  const tooltip = (_, event, __, value) => {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    const pairs = typeof value === "object" ? Object.entries(value) : [["", value]];
    tip.textContent = pairs.filter(([, said]) => said !== "" && said !== "null")
      .map(([name, said]) => (name ? `${name}: ${said}` : said)).join("\n");
    const left = Math.min(event.pageX + 14, root.scrollLeft + root.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${event.pageY + 14}px`;
  };

  let views = [];
  const draw = async () => {
    views.splice(0).forEach((view) => view.finalize());
    for (const [name, spec] of Object.entries(plots)) {
      const place = document.getElementById(`plot-${name}`);
      const data = { values: rows(document.getElementById(`table-${name}`)) };
      place.dataset.drawn = "no";
      try {
        const found = await vegaEmbed(place, { ...say(spec), data, config }, {
          ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip,
        });
        views.push(found);
        const picture = place.querySelector("svg"); // the place has the role and the name
        picture.removeAttribute("role");
        picture.setAttribute("aria-hidden", "true");
        place.dataset.drawn = "yes";
      } catch (error) {
        place.textContent = String(error);
      }
    }
    root.dataset.drawn = lang;
  };

  const show = async () => {
    root.lang = names[lang];
    root.dataset.lang = lang;
    for (const button of document.querySelectorAll("button[data-set]"))
      button.setAttribute("aria-pressed", String(button.dataset.set === lang));
    await draw();
  };

  let queue = Promise.resolve();
  for (const button of document.querySelectorAll("button[data-set]"))
    button.addEventListener("click", () => {
      queue = queue.then(() => { lang = button.dataset.set; return show(); });
    });
  root.dataset.scripted = "yes";
  queue = show();

  // Paper has no way to open a table.
  const shut = [];
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details.print:not([open])")) { each.open = true; shut.push(each); }
  });
  addEventListener("afterprint", () => shut.splice(0).forEach((each) => { each.open = false; }));
})();
