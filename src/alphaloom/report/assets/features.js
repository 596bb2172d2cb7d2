/* Sorts and filters the table of features, and chooses which columns are seen. */
(() => {
  "use strict";
  const section = document.getElementById("features");
  const table = section.querySelector("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const shown = section.querySelector(".shown");
  const box = section.querySelector("input");

  const value = (row, k) => {
    const cell = row.cells[k];
    return cell.dataset.v === undefined ? cell.textContent.trim().toLowerCase() : cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };

  const sort = (k, ascending) => {
    const ordered = [...rows].sort((a, b) => {
      const [x, y] = [value(a, k), value(b, k)];
      if (x === null || y === null) return (x === null) - (y === null); // what is unknown stands last either way
      const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
      return ascending ? order : -order;
    });
    body.append(...ordered);
    heads.forEach((head, j) => (j === k ? head.setAttribute("aria-sort", ascending ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
  };

  const filter = () => {
    // "group 5" means that group alone, and neither 15 nor 50.
    const words = box.value.toLowerCase().replace(/group\s+(?=\d)/g, "group").split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.dataset.words;
      const seen = words.every((word) => (/^group\d+$/.test(word) ? text.split(" ").includes(word) : text.includes(word)));
      row.hidden = !seen;
      count += seen;
    }
    shown.textContent = count === rows.length ? `${count} features` : `${count} of ${rows.length} features`;
  };

  const choose = (button) => {
    const set = button.dataset.set;
    for (const other of section.querySelectorAll(".sets button")) other.setAttribute("aria-pressed", String(other === button));
    heads.forEach((head, k) => {
      const seen = set === "all" || !head.dataset.sets || head.dataset.sets.split(" ").includes(set);
      head.hidden = !seen;
      for (const row of rows) row.cells[k].hidden = !seen;
    });
  };

  heads.forEach((head, k) => {
    const button = head.querySelector("button");
    if (!button) return;
    const first = head.classList.contains("n") ? "descending" : "ascending";
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(k, now ? now === "descending" : first === "ascending");
    });
  });
  for (const button of section.querySelectorAll(".sets button")) button.addEventListener("click", () => choose(button));
  box.addEventListener("input", filter);
  choose(section.querySelector(".sets button"));
  filter();
})();
