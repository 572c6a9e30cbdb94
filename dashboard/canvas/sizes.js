// The text of a Plotly figure at another size: of its layout and of its traces, which may have sizes of their own.

const TEXT_SIZE = 13 // px of the text of a figure that says nothing of its own
const LINE = 1.25 // of the size of its text
const LETTER = 0.6 // too: how wide a letter is
const AROUND = 150 // px of a figure that are not its plots: its margins, its axis
const MARGINS = ["t", "b"] // px; those at the sides follow their axes

// All places [path, size] of sizes of text in a part of a figure
function sizes(part, path, found) {
  const parts = Object.entries(part ?? {}).filter(([, value]) => value && typeof value === "object")
  for (const [name, value] of parts) {
    if (ArrayBuffer.isView(value)) continue
    const at = path ? (Array.isArray(part) ? `${path}[${name}]` : `${path}.${name}`) : name
    if (/font$/i.test(name)) {
      if (typeof value.size === "number") found.push([at, value.size])
    } else if (name !== "template") sizes(value, at, found)
  }
  return found
}

// The largest size of the title of a vertical axis, which lies along it
function mostAlong(axis, height) {
  const [low, high] = axis.domain ?? [0, 1]
  return ((high - low) * (height - AROUND)) / (axis.title?.text?.length || 1) / LETTER
}

// The largest size of text in the rows of a figure whose vertical axis names each of them, so that none lies on another
function mostIn(axis, height) {
  const rows = axis?.ticktext?.length ?? 0
  const [low, high] = axis?.domain ?? [0, 1]
  return rows ? ((high - low) * (height - AROUND)) / rows / LINE : Infinity
}

/** Return the changes of a figure to text `factor` times as large: [[trace, changes]] and those of its layout. */
export function sized(data, layout, { factor, height }) {
  const within = (size, most) => (factor === 1 ? size : Math.max(size, Math.min(size * factor, most)))
  const bounded = (path, size) => {
    const [, axis, part] = /^(yaxis\d*)\.(tickfont|title)/.exec(path) ?? []
    if (!axis) return within(size, Infinity)
    return within(size, part === "title" ? mostAlong(layout[axis], height) : mostIn(layout[axis], height))
  }
  const changes = { "font.size": TEXT_SIZE * factor }
  for (const [path, size] of sizes(layout, "", [])) changes[`${path}.size`] = bounded(path, size)
  ;(layout.annotations ?? []).forEach((one, at) => {
    changes[`annotations[${at}].font.size`] = (one.font?.size ?? TEXT_SIZE) * factor
  })
  const margin = { ...layout.template?.layout?.margin, ...layout.margin }
  for (const side of MARGINS) if (side in margin) changes[`margin.${side}`] = margin[side] * factor
  const traces = data.map((trace, at) => [at, sizes(trace, "", [])]).filter(([, own]) => own.length)
  return {
    changes,
    traces: traces.map(([at, own]) => [
      at,
      Object.fromEntries(own.map(([path, size]) => [`${path}.size`, within(size, mostIn(layout.yaxis, height))])),
    ]),
  }
}

/** Return the changes of traces as Plotly takes them: by their path, one value for each of the traces. */
export function merged(traces) {
  const paths = [...new Set(traces.flatMap(([, own]) => Object.keys(own)))]
  return Object.fromEntries(paths.map((path) => [path, traces.map(([, own]) => own[path])]))
}
