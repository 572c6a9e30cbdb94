// The map of layers × channels: one canvas, painted from one byte a group. What is selected or pointed at is a frame above
// the canvas, so that moving repaints nothing. Names are drawn or set as text, never as HTML.

import { binAt, frameOf, laidOut, shown } from "./layout.js"
import { aliveIn, paint, shortened } from "./painting.js"
import { has, stepped } from "./rows.js"

const GREY = "#808495" // where the theme says nothing

export class ChannelMap {
  // say: cell → text of the tip; moved, picked: told of the cell that is pointed at, and of the one to select
  constructor(root, { say, moved = (cell) => this.mark("hovered", cell), picked = () => {} }) {
    this.root = root
    this.canvas = root.querySelector("canvas")
    this.tip = root.querySelector(".tip")
    this.frames = { hovered: root.querySelector(".frame.hovered"), selected: root.querySelector(".frame.selected") }
    Object.assign(this, { say, moved, picked, rows: [], cells: { hovered: null, selected: null } })
    this.canvas.onpointermove = (event) => this.hover(this.at(event), event)
    this.canvas.onpointerleave = () => this.hover(null)
    this.canvas.onclick = (event) => this.picked(this.at(event), false)
    this.canvas.onkeydown = (event) => this.key(event)
  }

  // Take over the rows (rowsOf), a level of each group, and the palette; draw them.
  show(rows, levels, palette) {
    const other = rows !== this.rows
    Object.assign(this, { rows, levels, palette })
    if (other) this.layout = null
    if (!this.layout) this.resize()
    this.draw()
    if (!has(rows, this.cells.hovered)) this.hover(null)
    else this.tip.textContent = this.say(this.cells.hovered)
  }

  // Make room, as wide as the page has; return whether there is any.
  resize() {
    const width = this.root.clientWidth
    if (!width || !this.rows.length) return false
    const pen = this.canvas.getContext("2d")
    pen.font = this.font()
    const words = Math.max(...this.rows.map((row) => pen.measureText(row.name).width))
    this.layout = laidOut(this.rows, { width, ratio: window.devicePixelRatio || 1, words })
    this.canvas.width = Math.round(width * this.layout.ratio)
    this.canvas.height = Math.round(this.layout.height * this.layout.ratio)
    this.canvas.style.height = `${this.layout.height}px`
    this.image = pen.createImageData(this.layout.room, this.canvas.height)
    this.pixels = new Uint32Array(this.image.data.buffer)
    this.named = false
    return true
  }

  draw() {
    if (!this.layout) return
    paint(this.pixels, this.layout, this.rows, this.levels, this.palette)
    const pen = this.canvas.getContext("2d")
    pen.putImageData(this.image, Math.round(this.layout.left * this.layout.ratio), 0)
    this.words(pen)
    for (const which of ["hovered", "selected"]) this.mark(which, this.cells[which])
  }

  // The names are drawn once; the counts are written anew.
  words(pen) {
    const { width, height, pitch, left, ratio } = this.layout
    pen.setTransform(ratio, 0, 0, ratio, 0, 0)
    pen.clearRect(width - 62, 0, 62, height)
    Object.assign(pen, { font: this.font(), textBaseline: "middle", textAlign: "right" })
    pen.fillStyle = this.style("--st-text-color") || GREY
    const every = Math.ceil(13 / pitch)
    const wide = (text) => pen.measureText(text).width
    this.rows.forEach((row, place) => {
      if (place % every) return
      const middle = place * pitch + pitch / 2 + 1
      if (!this.named) pen.fillText(shortened(row.name, left - 12, wide), left - 8, middle)
      pen.fillText(`${aliveIn(row, this.levels)}/${row.count}`, width - 2, middle)
    })
    this.named = true
  }

  font() {
    return `12px ${this.style("--st-font") || "sans-serif"}`
  }

  style(name) {
    return getComputedStyle(this.root).getPropertyValue(name).trim()
  }

  at(event) {
    if (!this.layout) return null
    const box = this.canvas.getBoundingClientRect()
    const found = binAt(this.layout, event.clientX - box.left, event.clientY - box.top)
    if (!found) return null
    const row = this.rows[found.row]
    const channel = shown(row, this.layout.bins[found.row], found.bin, this.levels, this.palette.rank)
    return { row: found.row, channel }
  }

  hover(cell, event) {
    this.moved(cell)
    this.tip.hidden = !cell
    if (!cell) return
    this.tip.textContent = this.say(cell)
    const box = this.canvas.getBoundingClientRect()
    const x = Math.min(event.clientX - box.left + 14, this.layout.width - this.tip.offsetWidth - 4)
    const below = event.clientY - box.top + 18
    const y = below + this.tip.offsetHeight > this.layout.height + 24 ? below - this.tip.offsetHeight - 30 : below
    this.tip.style.transform = `translate(${Math.max(x, 0)}px, ${y}px)`
  }

  // Frame a cell, or nothing, as `hovered` or `selected`.
  mark(which, cell) {
    this.cells[which] = cell
    const frame = this.frames[which]
    frame.hidden = !this.layout || !has(this.rows, cell)
    if (frame.hidden) return
    for (const [side, length] of Object.entries(frameOf(this.layout, this.rows, cell))) frame.style[side] = `${length}px`
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.rows.length) return
    const target = stepped(this.rows, this.levels, this.cells.selected, event.key)
    if (target === undefined) return
    event.preventDefault()
    this.hover(null)
    this.picked(target, true)
  }
}

// One object per place on the page, kept while the page draws it again with other data.
export function mounted(instances, { parentElement }, make) {
  if (!instances.has(parentElement)) instances.set(parentElement, make(parentElement))
  const close = () => {
    instances.get(parentElement)?.close()
    instances.delete(parentElement)
  }
  return [instances.get(parentElement), close]
}
