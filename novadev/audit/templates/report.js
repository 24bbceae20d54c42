
(() => {
  "use strict";
  const table = document.getElementById("table");
  const wait = (milliseconds, work) => {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(work, milliseconds); };
  };

  function filtered(table) {
    const body = table.tBodies[0];
    const text = document.getElementById("text");
    const shown = document.getElementById("shown");
    const selects = Array.from(document.querySelectorAll("#filters select"));
    // In a guest's cell are name and UUID, in the others one text.
    const rows = Array.from(body.rows, (row, place) => ({
      row, place,
      cells: Array.from(row.cells, (cell) => cell.textContent.trim()),
      text: row.textContent.toLowerCase(),
    }));
    // On a phone a row is a card, so only the first are unfolded.
    const narrow = matchMedia("(max-width: 48rem)");
    const more = document.getElementById("more");
    let room = 50;
    const order = new Intl.Collator(undefined, { numeric: true });

    function options(select) {
      const column = Number(select.dataset.column);
      const counts = new Map();
      for (const { cells } of rows) counts.set(cells[column], (counts.get(cells[column]) || 0) + 1);
      select.append(new Option("any", "any"));
      for (const value of Array.from(counts.keys()).sort(order.compare)) {
        select.append(new Option(`${value || "not known"} (${counts.get(value).toLocaleString("en")})`, `=${value}`));
      }
    }

    function show() {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = selects.filter((select) => select.value !== "any")
        .map((select) => [Number(select.dataset.column), select.value.slice(1)]);
      let count = 0;
      for (const item of rows) {
        const fits = wanted.every(([column, value]) => item.cells[column] === value)
          && words.every((word) => item.text.includes(word));
        item.row.hidden = !fits || (narrow.matches && count >= room);
        if (fits) count += 1;
      }
      const left = narrow.matches ? count - room : 0;
      more.hidden = left <= 0;
      more.textContent = `Show more (${left.toLocaleString("en")} left)`;
      shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
    }

    function sort(column, descending) {
      const sign = descending ? -1 : 1;
      rows.sort((one, other) =>
        sign * order.compare(one.cells[column], other.cells[column]) || one.place - other.place);
      body.append(...rows.map((item) => item.row));
    }

    function sortable(head, column) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(column, descending);
        show();
      });
      head.replaceChildren(button);
    }

    function reset() {
      text.value = "";
      for (const select of selects) select.value = "any";
    }

    // A bar leads to its findings, where the table has any of them.
    const columns = { check: 1, host: 3, project: 4, machine_type: 5 };
    function leads(link) {
      link.addEventListener("click", () => {
        const column = columns[link.dataset.group];
        const value = link.classList.contains("unnamed") ? "" : link.textContent.trim();
        const select = selects.find((item) => Number(item.dataset.column) === column);
        reset();
        select.value = `=${value}`;
        if (select.selectedIndex < 0) select.value = "any";
        show();
      });
    }

    selects.forEach(options);
    reset();
    Array.from(table.tHead.rows[0].cells).forEach(sortable);
    selects.forEach((select) => select.addEventListener("change", show));
    text.addEventListener("input", wait(150, show));
    document.getElementById("reset").addEventListener("click", () => { reset(); show(); });
    more.addEventListener("click", () => { room += 200; show(); });
    narrow.addEventListener("change", show);
    addEventListener("beforeprint", () => { room = Infinity; show(); });
    document.querySelectorAll("a[data-group]").forEach(leads);
    document.getElementById("filters").hidden = false;
    show();
  }

  function selected(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }

  // The clipboard is there in a secure context only; the old command is for a page on plain HTTP.
  async function copy(pre) {
    selected(pre);
    try {
      await navigator.clipboard.writeText(pre.textContent.trimEnd());
      return true;
    } catch {
      return document.execCommand("copy");
    }
  }

  for (const button of document.querySelectorAll("button.copy")) {
    const pre = button.closest("details").querySelector("pre");
    const back = wait(2000, () => { button.textContent = "Copy"; });
    button.setAttribute("aria-live", "polite");
    button.setAttribute("aria-label", `Copy: ${pre.getAttribute("aria-label")}`);
    button.addEventListener("click", async () => {
      button.textContent = (await copy(pre)) ? "Copied" : "Selected";
      back();
    });
    button.hidden = false;
  }

  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  if (table) filtered(table);
})();
