// A map of layers × channels painted pixel by pixel from one byte a group: 32,768 groups in a few milliseconds, which a
// canvas that is filled rectangle by rectangle does not reach. Level 0 is hatched, the others are looked up in a table
// of colours; a level that has a colour of its own for the edge is framed. What is selected or pointed at is a frame above
// the canvas, so that moving repaints nothing. Loaded after pens.js, as one module with what uses it.

const LEAST_PITCH = 9 // px of a row
const MOST_HEIGHT = 620 // px of the map
const HATCH = 0xbf958480 // rgba(128,132,149,0.75), bytes from the last to the first

class LevelMap {
  // say: cell → text of the tip; moved, picked: told of the cell under the pointer, and of the selected one
  constructor(root, { say, moved = () => {}, picked = () => {} }) {
    this.root = root
    this.canvas = root.querySelector("canvas")
    this.tip = root.querySelector(".tip")
    this.frames = { hovered: root.querySelector(".frame.hovered"), selected: root.querySelector(".frame.selected") }
    Object.assign(this, { say, moved, picked, rows: [], selected: null })
    this.canvas.onpointermove = (event) => this.hover(this.at(event), event)
    this.canvas.onpointerleave = () => this.hover(null)
    this.canvas.onclick = (event) => this.picked(this.at(event))
    this.canvas.onkeydown = (event) => this.key(event)
  }

  // Take over names and widths of the layers, and make room.
  layers(names, counts) {
    let first = 0
    this.rows = names.map((name, place) => ({ name, first, count: counts[place], next: (first += counts[place]) }))
    this.layout()
  }

  layout() {
    this.width = this.root.clientWidth
    if (!this.width || !this.rows.length) return
    this.ratio = window.devicePixelRatio || 1
    this.pitch = Math.min(20, Math.max(LEAST_PITCH, Math.floor(MOST_HEIGHT / this.rows.length)))
    const pen = this.canvas.getContext("2d")
    pen.font = this.font()
    const words = Math.max(...this.rows.map((row) => pen.measureText(row.name).width))
    this.left = Math.ceil(Math.min(this.width * 0.3, words + 13))
    this.height = this.pitch * this.rows.length + 4
    this.canvas.width = Math.round(this.width * this.ratio)
    this.canvas.height = Math.round(this.height * this.ratio)
    this.canvas.style.height = `${this.height}px`
    this.named = false
    this.places()
    this.image = pen.createImageData(Math.max(1, Math.floor((this.width - this.left - 62) * this.ratio)), this.canvas.height)
    this.pixels = new Uint32Array(this.image.data.buffer)
    this.mark("selected", this.selected)
  }

  // How wide the cells are, in pixels of the device: narrow layers stay legible beside wide ones.
  places() {
    const room = Math.max(20, Math.floor((this.width - this.left - 62) * this.ratio))
    const common = room / Math.max(...this.rows.map((row) => row.count))
    for (const row of this.rows) {
      const wide = Math.min(Math.max(common, Math.min(room / row.count, 8 * this.ratio)), 18 * this.ratio)
      row.bins = wide < 1 ? room : row.count
      row.cell = wide < 1 ? 1 : wide >= 4 * this.ratio ? Math.floor(wide) : wide
      row.gap = row.cell >= 4 * this.ratio ? Math.round(this.ratio) : 0
    }
  }

  // levels: a byte per group; colours and edges: 256 colours each, an edge of 0 is none
  show(levels, colours, edges) {
    Object.assign(this, { levels, colours, edges })
    if (!this.image) return
    this.pixels.fill(0)
    this.rows.forEach((row, place) => this.row(row, place))
    const pen = this.canvas.getContext("2d")
    pen.putImageData(this.image, Math.round(this.left * this.ratio), 0)
    this.words(pen)
  }

  row(row, place) {
    const wide = this.image.width
    const [line, edge] = [new Uint32Array(wide), new Uint32Array(wide)]
    const dead = []
    for (let bin = 0; bin < row.bins; bin++) {
      const level = this.levels[row.first + this.shown(row, bin)]
      const from = Math.floor(bin * row.cell)
      const to = Math.max(from + 1, Math.floor((bin + 1) * row.cell) - row.gap)
      if (!level) dead.push(from, to)
      else this.cell(line, edge, [from, to], level)
    }
    this.lines(line, edge, dead, place)
  }

  cell(line, edge, [from, to], level) {
    const [fill, frame] = [this.colours[level], this.edges[level]]
    line.fill(fill, from, to)
    edge.fill(frame || fill, from, to)
    const thick = Math.round(1.5 * this.ratio)
    if (!frame || to - from < 6 * this.ratio) return
    line.fill(frame, from, from + thick)
    line.fill(frame, to - thick, to)
  }

  lines(line, edge, dead, place) {
    const wide = this.image.width
    const top = Math.round((place * this.pitch + 2) * this.ratio)
    const high = Math.round((this.pitch - 2) * this.ratio)
    const thick = Math.round(1.5 * this.ratio)
    const [period, stroke] = [Math.round(4 * this.ratio), Math.max(1, Math.round(this.ratio))]
    for (let y = 0; y < high; y++) {
      const start = (top + y) * wide
      this.pixels.set(y < thick || y >= high - thick ? edge : line, start)
      for (let at = 0; at < dead.length; at += 2) {
        const to = dead[at + 1]
        for (let x = dead[at] + ((period - ((dead[at] + top + y) % period)) % period); x < to; x += period) {
          for (let wider = x; wider < Math.min(x + stroke, to); wider++) this.pixels[start + wider] = HATCH
        }
      }
    }
  }

  // The channel that a cell shows: one, or the first that lives where a layer has more channels than there are pixels.
  shown(row, bin) {
    if (row.bins === row.count) return bin
    const [from, to] = [Math.floor((bin * row.count) / row.bins), Math.floor(((bin + 1) * row.count) / row.bins)]
    for (let channel = from; channel < to; channel++) if (this.levels[row.first + channel]) return channel
    return from
  }

  // The names stand from the first painting on; the counts are written anew.
  words(pen) {
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0)
    pen.clearRect(this.width - 62, 0, 62, this.height)
    pen.font = this.font()
    pen.textBaseline = "middle"
    pen.textAlign = "right"
    pen.fillStyle = this.style("--st-text-color") || "#808495"
    const named = this.named
    this.named = true
    const every = Math.ceil(13 / this.pitch)
    this.rows.forEach((row, place) => {
      if (place % every) return
      const middle = place * this.pitch + this.pitch / 2 + 1
      let alive = 0
      for (let group = row.first; group < row.next; group++) if (this.levels[group]) alive++
      pen.globalAlpha = 1
      if (!named) pen.fillText(shortened(pen, row.name, this.left - 12), this.left - 8, middle)
      pen.globalAlpha = 0.75
      pen.fillText(`${alive}/${row.count}`, this.width - 2, middle)
    })
    pen.globalAlpha = 1
  }

  font() {
    return `12px ${this.style("--st-font") || "sans-serif"}`
  }

  style(name) {
    return getComputedStyle(this.root).getPropertyValue(name).trim()
  }

  // --- the pointer, the keys and the frames ------------------------------------------------------------------

  at(event) {
    const box = this.canvas.getBoundingClientRect()
    const place = Math.floor((event.clientY - box.top - 2) / this.pitch)
    const row = this.rows[place]
    if (!row) return null
    const bin = Math.floor(((event.clientX - box.left - this.left) * this.ratio) / row.cell)
    return bin < 0 || bin >= row.bins ? null : { row: place, channel: this.shown(row, bin) }
  }

  hover(cell, event) {
    this.moved(cell)
    this.tip.hidden = !cell
    if (!cell) return
    this.tip.textContent = this.say(cell)
    const box = this.canvas.getBoundingClientRect()
    const x = Math.min(event.clientX - box.left + 14, this.width - this.tip.offsetWidth - 4)
    this.tip.style.transform = `translate(${Math.max(x, 0)}px, ${event.clientY - box.top + 18}px)`
  }

  mark(which, cell) {
    if (which === "selected") this.selected = cell
    const frame = this.frames[which]
    const row = cell && this.rows[cell.row]
    frame.hidden = !row
    if (!row) return
    const bin = Math.floor((cell.channel * row.bins) / row.count)
    const wide = Math.max(4, (row.cell - row.gap) / this.ratio)
    const [x, y] = [this.left + (bin * row.cell) / this.ratio, cell.row * this.pitch + 2]
    Object.assign(frame.style, { left: `${x}px`, top: `${y}px`, width: `${wide}px`, height: `${this.pitch - 2}px` })
  }

  key(event) {
    const { row, channel } = this.selected || { row: 0, channel: -1 }
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }
    const step = steps[event.key]
    if (event.ctrlKey || event.metaKey || event.altKey || (!step && event.key !== "Escape") || !this.rows.length) return
    event.preventDefault()
    if (!step) return this.picked(null)
    const next = Math.min(Math.max(row + step[0], 0), this.rows.length - 1)
    this.picked({ row: next, channel: Math.min(Math.max(channel + step[1], 0), this.rows[next].count - 1) })
  }
}

// --- colours ---------------------------------------------------------------------------------------------------

// "#rrggbb" → a number whose bytes are those of a pixel
function pixel(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0
}

// count colours between the stops, as pixels
function between(stops, count) {
  const parts = stops.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)))
  return Uint32Array.from({ length: count }, (_, i) => {
    const place = (i / Math.max(count - 1, 1)) * (parts.length - 1)
    const from = Math.min(Math.floor(place), parts.length - 2)
    const [red, green, blue] = parts[from].map((value, c) => Math.round(value + (place - from) * (parts[from + 1][c] - value)))
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0
  })
}

// Norms on a log scale in seven bits, and whether they are near the threshold in the eighth: see levels.py.
function normColours() {
  const [colours, edges] = [new Uint32Array(256), new Uint32Array(256)]
  const shade = between(CIVIDIS, 127)
  colours.set(shade, 1)
  colours.set(shade, 129)
  edges.fill(pixel(NEAR), 129)
  return [colours, edges]
}

function normSaid(level, { low, high }) {
  if (!level) return "dead, exactly zero"
  const norm = Math.exp(Math.log(low) + (((level & 127) - 1) / 126) * Math.log(high / low))
  return `${level > 128 ? "near the threshold" : "alive"}, norm about ${brief(norm)}`
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
