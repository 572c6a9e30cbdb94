// A map as SVG, and a picture of a figure that stands alone: white, with its title and where it comes from. Pure
// functions of what is drawn to text. All names are escaped.

import { TOP, extent, laidOut, shown } from "./layout.js"

const DEAD_GREY = "#6b7080" // hatching of the dead
const PICTURE_INK = "#23262f"
const PICTURE_QUIET = "#5b6070"
const PICTURE_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
const LETTER_WIDTH = 6.6 // px of a letter of 12 px, where nobody can measure it
const PICTURE_MARGIN = 24
const PICTURE_LINE = 18 // px of a line of the text below

export function escaped(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }
  return String(text).replace(/[&<>"']/g, (letter) => names[letter])
}

// A number whose bytes are those of a pixel → "#rrggbb"
export function hex(pixel) {
  const part = (shift) => ((pixel >>> shift) & 255).toString(16).padStart(2, "0")
  return `#${part(0)}${part(8)}${part(16)}`
}

// What a map looks like at a width [px]: {markup, height}. One path per colour, so that 20,000 cells are a few hundred
// elements. ink: the colour of names; id: of the pattern of the dead, one of its own on a page.
export function mapMarkup(rows, levels, palette, { width, ink = PICTURE_INK, id = "dead" }) {
  const words = Math.max(0, ...rows.map((row) => row.name.length)) * LETTER_WIDTH
  const layout = laidOut(rows, { width, ratio: 1, words })
  const paths = new Map()
  const add = (colour, part) => paths.set(colour, (paths.get(colour) ?? "") + part)
  const names = rows.map((row, place) => {
    cellsOf(row, place, { layout, levels, palette, add })
    return rowText(row, place, layout, levels)
  })
  const drawn = [...paths].map(([colour, path]) => cellPath(colour, path, id))
  const pattern =
    `<pattern id="${id}" width="4" height="4" patternUnits="userSpaceOnUse">` +
    `<path d="M-1 1l2-2M0 4l4-4M3 5l2-2" stroke="${DEAD_GREY}"/></pattern>`
  const text = `<g fill="${ink}" font-family="${escaped(PICTURE_FONT)}" font-size="12" text-anchor="end">${names.join("")}</g>`
  return { markup: `<defs>${pattern}</defs>${drawn.join("")}${text}`, height: layout.height }
}

function cellsOf(row, place, { layout, levels, palette, add }) {
  const bins = layout.bins[place]
  const [top, high] = [place * layout.pitch + TOP, layout.pitch - 2]
  for (let bin = 0; bin < bins.count; bin++) {
    const level = levels[row.first + shown(row, bins, bin, levels, palette.rank)]
    const [from, to] = extent(bins, bin)
    const cell = (inset) => {
      const [x, y, wide, tall] = [layout.left + from + inset, top + inset, to - from - 2 * inset, high - 2 * inset]
      return `M${x} ${y}h${wide}v${tall}h${-wide}z`
    }
    add(level ? hex(palette.colours[level]) : "", cell(0))
    if (level && palette.edges[level]) add(`edge ${hex(palette.edges[level])}`, cell(to - from > 2 ? 0.75 : 0))
  }
}

function cellPath(colour, path, id) {
  if (!colour) return `<path d="${path}" fill="url(#${id})" stroke="${DEAD_GREY}" stroke-opacity=".3" stroke-width=".5"/>`
  if (colour.startsWith("edge ")) return `<path d="${path}" fill="none" stroke="${colour.slice(5)}" stroke-width="1.5"/>`
  return `<path d="${path}" fill="${colour}"/>`
}

function rowText(row, place, layout, levels) {
  const every = Math.ceil(13 / layout.pitch)
  if (place % every) return ""
  const middle = place * layout.pitch + layout.pitch / 2 + 5
  const most = Math.max(4, Math.floor((layout.left - 12) / LETTER_WIDTH))
  const name = row.name.length > most ? `…${row.name.slice(1 - most)}` : row.name
  let alive = 0
  for (let group = row.first; group < row.next; group++) if (levels[group]) alive++
  return (
    `<text x="${layout.left - 8}" y="${middle}">${escaped(name)}</text>` +
    `<text x="${layout.width - 2}" y="${middle}">${alive}/${row.count}</text>`
  )
}

// How wide the swatch of an entry is, and the whole entry with its word
const swatchWidth = (colour) => (Array.isArray(colour) ? 12 * colour.length : 14)
const entryWidth = ({ word, colour }) => swatchWidth(colour) + 6 + word.length * LETTER_WIDTH + 22

/** Return how wide a legend is [px]. */
export function legendWidth(entries) {
  return entries.reduce((sum, entry) => sum + entryWidth(entry), 0)
}

// The legend of maps, [{word, colour}], as SVG of one line; colour "" is the hatching of the dead, [] is a scale
export function legendMarkup(entries, id = "dead") {
  let x = 0
  const parts = entries.map((entry) => {
    const { word, colour } = entry
    const wide = swatchWidth(colour)
    const stops = Array.isArray(colour) ? colour : [colour]
    const swatches = stops.map((stop, at) => swatch(stop, x + (at * wide) / stops.length, wide / stops.length, id))
    const text = `<text x="${x + wide + 6}" y="10">${escaped(word)}</text>`
    x += entryWidth(entry)
    return swatches.join("") + text
  })
  return `<g fill="${PICTURE_INK}" font-family="${escaped(PICTURE_FONT)}" font-size="12">${parts.join("")}</g>`
}

function swatch(stop, x, wide, id) {
  const [edge, fill] = stop.startsWith("edge ") ? [stop.slice(5), "none"] : [stop || DEAD_GREY, stop || `url(#${id})`]
  const line = stop.startsWith("edge ") || !stop ? ` stroke="${edge}"` : ""
  return `<rect x="${x}" y="0" width="${wide}" height="12" fill="${fill}"${line}/>`
}

// Some maps side by side under one legend: {body, width, height}. maps: [{title, rows, levels, palette}]
export function mapsPicture(maps, entries, width = 1000) {
  const each = (width - 24 * (maps.length - 1)) / maps.length
  const drawn = maps.map(({ rows, levels, palette }, at) =>
    mapMarkup(rows, levels, palette, { width: Math.floor(each), id: at ? `dead${at}` : "dead" }),
  )
  const head = maps.some(({ title }) => title) ? 22 : 0
  const style = `fill="${PICTURE_INK}" font-family="${escaped(PICTURE_FONT)}" font-size="13" font-weight="600"`
  const parts = drawn.map(({ markup }, at) => {
    const title = head ? `<text y="12" ${style}>${escaped(maps[at].title)}</text>` : ""
    return `<g transform="translate(${at * (each + 24)} 30)">${title}<g transform="translate(0 ${head})">${markup}</g></g>`
  })
  const height = 30 + head + Math.max(...drawn.map((one) => one.height))
  return { body: legendMarkup(entries) + parts.join(""), width, height }
}

// Text in lines of at most so many letters
export function lines(text, most) {
  return String(text)
    .split(/\s+/)
    .filter(Boolean)
    .reduce((known, word) => {
      const last = known.at(-1)
      if (last !== undefined && last.length + word.length < most) known[known.length - 1] = `${last} ${word}`
      else known.push(word.slice(0, most))
      return known
    }, [])
}

// A whole SVG file: what is drawn (width × height), its title above it, how to read it and where it comes from below.
export function picture({ body, width, height, title, reading, source }) {
  const most = Math.max(20, Math.floor(width / LETTER_WIDTH))
  const head = lines(title, Math.floor(most * 0.68)).map((line) => ({ line, size: 15, colour: PICTURE_INK, weight: 600 }))
  const foot = [...lines(reading, most), ...lines(source, most)].map((line) => ({ line, size: 12, colour: PICTURE_QUIET }))
  const down = PICTURE_MARGIN + head.length * 21 + 8
  const below = down + height + 22
  const whole = [width + 2 * PICTURE_MARGIN, below + foot.length * PICTURE_LINE + PICTURE_MARGIN - PICTURE_LINE / 2]
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${whole[0]}" ` +
    `height="${whole[1]}" viewBox="0 0 ${whole[0]} ${whole[1]}"><title>${escaped(title)}</title>` +
    `<rect width="100%" height="100%" fill="#ffffff"/><g font-family="${escaped(PICTURE_FONT)}">` +
    `${textOf(head, PICTURE_MARGIN + 12, 21)}${textOf(foot, below, PICTURE_LINE)}</g>` +
    `<g transform="translate(${PICTURE_MARGIN} ${down})">${body}</g></svg>`
  )
}

function textOf(rows, top, step) {
  return rows
    .map(({ line, size, colour, weight = 400 }, place) => {
      const style = `font-size="${size}" font-weight="${weight}" fill="${colour}"`
      return `<text x="${PICTURE_MARGIN}" y="${top + place * step}" ${style}>${escaped(line)}</text>`
    })
    .join("")
}
