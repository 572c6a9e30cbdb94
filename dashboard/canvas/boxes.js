// The picture of a network that stands alone: its boxes and streams on white, under the legend. A pure function to text.

import { escaped, legendMarkup, legendWidth } from "./drawing.js"
import { BOX_HIGH, BOX_WIDE, extentOf, middle, pathOf } from "./placing.js"

const BOX_INK = "#23262f"
const BOX_PLAIN = "#f3f4f7" // of a box that is not coloured
const BOX_LINE = "#c3c7d1"
const BOX_TRACK = "#d9dce3"
const INSET = 8 // px
const MOST_LETTERS = 26 // of a line in a box, the end of a longer one
const LEGEND_HIGH = 28 // px

/** Return {body, width, height} of what `data` (canvas/network_graph.py) draws. */
export function networkPicture({ nodes, edges, legend }) {
  const [wide, high] = extentOf(nodes.map(({ at }) => at))
  const entries = legend.map(([word, fill]) => ({ word, colour: coloursOf(fill) }))
  const lines = edges.map(
    ({ over, width, silent }) =>
      `<path d="${pathOf(over)}" fill="none" stroke="${BOX_INK}" stroke-opacity=".32" stroke-width="${Number(width)}"` +
      `${silent ? ' stroke-dasharray="3 4"' : ""}/>`,
  )
  const drawn = [...lines, ...nodes.map(boxMarkup)].join("")
  const width = Math.max(wide, 620, legendWidth(entries)) // the words below need as much
  const body = `${legendMarkup(entries)}<g font-family="system-ui, sans-serif" font-size="12" transform="translate(${(width - wide) / 2} ${LEGEND_HIGH})">${drawn}</g>`
  return { body, width, height: high + LEGEND_HIGH }
}

// A colour, or those of a scale
function coloursOf(fill) {
  const found = fill.match(/#[0-9a-f]{6}/gi) ?? []
  return fill.startsWith("linear") ? found : (found[0] ?? BOX_LINE)
}

function boxMarkup(node) {
  const [x, y] = middle(node.at).map((value, which) => value - [BOX_WIDE, BOX_HIGH][which] / 2)
  const rect = `<rect x="${x}" y="${y}" width="${BOX_WIDE}" height="${BOX_HIGH}" rx="5" fill="${escaped(node.fill ?? BOX_PLAIN)}" stroke="${BOX_LINE}"/>`
  const ink = escaped(node.ink ?? BOX_INK)
  const words = [ended(node.name), node.words].map((text, line) => {
    const squeezed = text.length > MOST_LETTERS ? ` textLength="${BOX_WIDE - 2 * INSET}" lengthAdjust="spacingAndGlyphs"` : ""
    return `<text x="${x + INSET}" y="${y + 15 + 15 * line}" fill="${ink}"${squeezed}>${escaped(text)}</text>`
  })
  return `${rect}${words.join("")}${node.bars.length ? barMarkup(node.bars, x + INSET, y + BOX_HIGH - 9) : ""}`
}

function barMarkup(bars, x, y) {
  const room = BOX_WIDE - 2 * INSET
  let from = x
  const parts = bars.map(([share, fill]) => {
    const part = `<rect x="${from}" y="${y}" width="${Math.max(0, share * room)}" height="5" fill="${escaped(fill)}"/>`
    from += share * room
    return part
  })
  return `<rect x="${x}" y="${y}" width="${room}" height="5" fill="${BOX_TRACK}"/>${parts.join("")}`
}

// The end of a long name, which tells it from others; words are never cut, or they would say something else
function ended(text) {
  return text.length > MOST_LETTERS ? `…${text.slice(1 - MOST_LETTERS)}` : text
}
