// A map painted pixel by pixel into an array: 32,768 groups in a few milliseconds, which a canvas that is filled
// rectangle by rectangle does not reach. Level 0 is hatched, the others are looked up in a palette.

import { TOP, extent, shown } from "./layout.js"

const HATCH = 0xbf958480 // rgba(128,132,149,0.75), bytes from the last to the first
const FRAMED = 6 // px: a narrower cell has its edge above and below only

// pixels: (height × wide) of the device, row after row; wide is the room of the layout
export function paint(pixels, layout, rows, levels, palette) {
  pixels.fill(0)
  rows.forEach((row, place) => paintRow(pixels, layout, { row, place, levels, palette }))
}

function paintRow(pixels, layout, { row, place, levels, palette }) {
  const [line, edge] = [new Uint32Array(layout.room), new Uint32Array(layout.room)]
  const bins = layout.bins[place]
  const dead = []
  for (let bin = 0; bin < bins.count; bin++) {
    const level = levels[row.first + shown(row, bins, bin, levels, palette.rank)]
    const across = extent(bins, bin)
    if (!level) dead.push(...across)
    else paintCell(line, edge, across, [palette.colours[level], palette.edges[level], layout.ratio])
  }
  paintLines(pixels, layout, { line, edge, dead, place })
}

function paintCell(line, edge, [from, to], [fill, frame, ratio]) {
  line.fill(fill, from, to)
  edge.fill(frame || fill, from, to)
  const thick = Math.round(1.5 * ratio)
  if (!frame || to - from < FRAMED * ratio) return
  line.fill(frame, from, from + thick)
  line.fill(frame, to - thick, to)
}

function paintLines(pixels, { pitch, ratio, room }, { line, edge, dead, place }) {
  const top = Math.round((place * pitch + TOP) * ratio)
  const high = Math.round((pitch - 2) * ratio)
  const thick = Math.round(1.5 * ratio)
  const [period, stroke] = [Math.round(4 * ratio), Math.max(1, Math.round(ratio))]
  for (let y = 0; y < high; y++) {
    const start = (top + y) * room
    pixels.set(y < thick || y >= high - thick ? edge : line, start)
    for (let at = 0; at < dead.length; at += 2) {
      const to = dead[at + 1]
      for (let x = dead[at] + ((period - ((dead[at] + top + y) % period)) % period); x < to; x += period) {
        for (let wider = x; wider < Math.min(x + stroke, to); wider++) pixels[start + wider] = HATCH
      }
    }
  }
}

export function aliveIn(row, levels) {
  let alive = 0
  for (let group = row.first; group < row.next; group++) if (levels[group]) alive++
  return alive
}

// The end of a long name says more than its start. `wide` tells the width of a text [px].
export function shortened(name, room, wide) {
  if (wide(name) <= room) return name
  let start = 1
  while (start < name.length && wide(`…${name.slice(start)}`) > room) start++
  return `…${name.slice(start)}`
}
