// A table whose rows are clicked: it draws what Python holds, and sends back which row and which action.
// Only cells that changed are touched, so that a hundred rows can change ten times a second.

const MISSING = 255;

function spark(canvas, points, first, count, tone) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 90, height = canvas.clientHeight || 18;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = tone;
  pen.lineWidth = 1.2;
  pen.beginPath();
  let down = false;
  for (let i = 0; i < count; i++) {
    const value = points.getUint8(first + i);
    if (value === MISSING) { down = false; continue; }
    const x = 1 + (width - 2) * i / Math.max(1, count - 1), y = height - 2 - (height - 4) * value / 254;
    if (down) pen.lineTo(x, y); else pen.moveTo(x, y);
    down = true;
  }
  pen.stroke();
}

function set(node, key, value) {
  if (node[key] !== value) node[key] = value;
}

function makeRow(model, columns, row) {
  const line = document.createElement("tr");
  line.dataset.row = row.id;
  const cells = columns.map((column) => {
    const cell = document.createElement("td");
    cell.classList.add(`twin-${column.kind}`, `twin-column-${column.key}`);
    if (column.kind === "spark") cell.append(document.createElement("canvas"));
    if (column.kind === "swatch") {
      const box = document.createElement("button");
      box.className = "twin-shown";
      box.title = "show in the signals, or not";
      box.dataset.action = "toggle";
      cell.append(box);
    }
    line.append(cell);
    return cell;
  });
  return { line, cells, buttons: "" };
}

function fillButtons(cell, drawn, buttons) {
  const key = JSON.stringify(buttons || []);
  if (drawn.buttons === key) return;
  drawn.buttons = key;
  cell.replaceChildren(...(buttons || []).map(([action, label, tip]) => {
    const button = document.createElement("button");
    button.className = `twin-action twin-${action}`;
    button.dataset.action = action;
    button.textContent = label;
    button.title = tip || label;
    return button;
  }));
}

function fillRow(drawn, columns, row, selectable) {
  set(drawn.line, "className", `${row.tone ? `twin-tone-${row.tone}` : ""} ${selectable ? "twin-selectable" : ""}`.trim());
  columns.forEach((column, i) => {
    const cell = drawn.cells[i];
    if (column.kind === "text" || column.kind === "bar") {
      set(cell, "textContent", row[column.key] ?? "");
      set(cell, "title", row[`${column.key}_tip`] ?? row[column.key] ?? "");
      set(cell, "className", `twin-${column.kind} twin-column-${column.key} ${row[`${column.key}_tone`] ? `twin-is-${row[`${column.key}_tone`]}` : ""}`.trim());
      if (column.kind === "bar") cell.style.setProperty("--twin-share", row[`${column.key}_share`] || "0%");
    } else if (column.kind === "swatch") {
      const colour = row.colour || "";
      if (cell.dataset.colour !== colour) {
        cell.dataset.colour = colour;
        cell.firstChild.style.background = colour || "transparent";
        cell.firstChild.setAttribute("aria-pressed", String(Boolean(colour)));
      }
    } else if (column.kind === "buttons") {
      fillButtons(cell, drawn, row.buttons);
    }
  });
}

function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "twin-table-frame";
  frame.style.maxHeight = model.get("max_height");
  const table = document.createElement("table");
  table.className = "twin-table";
  const head = table.createTHead(), body = table.createTBody();
  const empty = document.createElement("div");
  empty.className = "twin-empty";
  frame.append(table, empty);
  el.append(frame);
  let drawn = new Map(), columns = [];

  function drawHead() {
    columns = model.get("columns");
    const line = document.createElement("tr");
    for (const column of columns) {
      const cell = document.createElement("th");
      cell.textContent = column.label;
      cell.className = `twin-${column.kind} twin-column-${column.key}`;
      if (column.width) cell.style.width = column.width;
      if (column.tip) cell.title = column.tip;
      line.append(cell);
    }
    head.replaceChildren(line);
    body.replaceChildren();
    drawn = new Map();
    drawRows();
  }

  function drawRows() {
    const rows = model.get("rows"), selectable = model.get("selectable"), kept = new Map();
    rows.forEach((row, i) => {
      const id = String(row.id);
      const known = drawn.get(id) || makeRow(model, columns, row);
      fillRow(known, columns, row, selectable);
      if (body.rows[i] !== known.line) body.insertBefore(known.line, body.rows[i] || null);
      kept.set(id, known);
    });
    for (const [id, old] of drawn) if (!kept.has(id)) old.line.remove();
    drawn = kept;
    set(empty, "textContent", rows.length ? "" : model.get("empty"));
    head.hidden = rows.length === 0;
    drawSelected();
    drawValues();
    drawSparks();
  }

  function drawSelected() {
    const chosen = new Set(model.get("selected").map(String));
    for (const [id, { line }] of drawn) {
      line.classList.toggle("twin-selected", chosen.has(id));
    }
  }

  function drawValues() {
    const values = model.get("values"), numbers = columns.filter((column) => column.kind === "number").length;
    if (!numbers) return;
    let row = 0;
    for (const { cells } of drawn.values()) {
      let number = 0;
      columns.forEach((column, i) => {
        if (column.kind !== "number") return;
        const place = 4 * (row * numbers + number++);
        const value = place + 4 <= values.byteLength ? values.getFloat32(place, true) : NaN;
        set(cells[i], "textContent", Number.isNaN(value) ? "–" : value.toFixed(column.digits ?? 1));
      });
      row++;
    }
  }

  function drawSparks() {
    const at = columns.findIndex((column) => column.kind === "spark");
    if (at < 0 || !drawn.size) return;
    const points = model.get("sparks"), count = Math.floor(points.byteLength / drawn.size);
    const tone = getComputedStyle(frame).getPropertyValue("--twin-spark") || "#0072b2";
    let row = 0;
    for (const { cells } of drawn.values()) spark(cells[at].firstChild, points, count * row++, count, tone);
  }

  function send(event) {
    const line = event.target.closest("tr[data-row]");
    if (!line) return;
    const action = event.target.closest("button")?.dataset.action || (model.get("selectable") ? "select" : "");
    if (!action) return;
    const more = event.ctrlKey || event.metaKey || event.shiftKey;
    model.send({ action: action === "select" && more ? "toggle" : action, row: line.dataset.row });
  }

  const heard = [
    ["change:columns", drawHead], ["change:rows", drawRows], ["change:empty", drawRows],
    ["change:selected", drawSelected], ["change:values", drawValues], ["change:sparks", drawSparks],
  ];
  for (const [what, how] of heard) model.on(what, how);
  body.addEventListener("click", send);
  drawHead();
  return () => { for (const [what, how] of heard) model.off(what, how); };
}

export default { render };
