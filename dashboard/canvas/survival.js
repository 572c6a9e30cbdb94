// The survival map. One instance per place on the page, kept in a WeakMap: a call with new data redraws the canvas
// that is there, so that focus, selection and the pointer stay. Names are drawn or set as text, never as HTML.

const REPORT_AFTER = 150 // ms without another key before the server is told
const instances = new WeakMap()

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  let map = instances.get(parentElement)
  if (!map) {
    map = new SurvivalMap(parentElement)
    instances.set(parentElement, map)
  }
  map.report = (value) => setTriggerValue("picked", value)
  map.update(data)
  return () => {
    map.close()
    instances.delete(parentElement)
  }
}

class SurvivalMap {
  constructor(parent) {
    this.root = parent.querySelector(".map")
    this.canvas = parent.querySelector("canvas")
    this.tip = parent.querySelector(".tip")
    this.selected = null // {row, channel}
    this.hovered = null
    this.rows = []
    this.base = document.createElement("canvas") // all but the frames, so that a move repaints two cells, not all
    this.canvas.onpointermove = (event) => this.hover(this.at(event), event)
    this.canvas.onpointerleave = () => this.hover(null)
    this.canvas.onclick = (event) => this.select(this.at(event), 0)
    this.canvas.onkeydown = (event) => this.key(event)
    this.observer = new ResizeObserver(() => {
      this.stale = true
      this.schedule()
    })
    this.observer.observe(this.root)
  }

  close() {
    this.observer.disconnect()
    clearTimeout(this.timer)
    cancelAnimationFrame(this.frame)
  }

  update(data) {
    this.low = Math.log(data.low)
    this.span = Math.max(Math.log(data.high) - this.low, 1e-9)
    this.rows = rowsOf(data)
    this.adopt(data)
    if (this.hovered && !(this.hovered.channel < this.rows[this.hovered.row]?.values.length)) this.hover(null)
    if (this.hovered) this.tip.textContent = this.say(this.hovered)
    this.legend(data)
    this.stale = true
    this.schedule()
  }

  // Take over what the page says is selected, unless it only echoes what was reported: the user may have gone on since.
  adopt({ run, selected }) {
    const given = JSON.stringify([run, selected && [selected.layer, selected.channel]])
    if (given !== this.given) this.selected = cellNamed(this.rows, selected)
    this.given = given
    this.run = run
  }

  schedule() {
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.draw())
  }

  // --- geometry ---------------------------------------------------------------------------------------------

  layout() {
    const width = this.root.clientWidth
    const count = Math.max(this.rows.length, 1)
    this.pitch = Math.min(22, Math.max(9, Math.floor(620 / count)))
    const words = Math.max(0, ...this.rows.map((row) => this.measure(row.name)))
    this.left = Math.ceil(Math.min(width * 0.3, 13 + words)) // whole pixels, or the gaps are not clear
    this.right = 66
    this.width = width
    this.top = 3 // room for the words of a low first row
    this.height = this.pitch * count + 2 * this.top
    const room = Math.max(width - this.left - this.right, 20)
    const common = room / Math.max(1, ...this.rows.map((row) => row.values.length))
    for (const row of this.rows) {
      const fitted = room / Math.max(row.values.length, 1)
      const cell = Math.min(Math.max(common, Math.min(fitted, 8)), 18) // narrow layers stay legible beside wide ones
      row.cell = cell >= 4 ? Math.floor(cell) : Math.max(cell, 1)
      row.bins = fitted < 1 ? Math.floor(room) : row.values.length
    }
  }

  // The channel that a cell shows: one, or the strongest where a layer has more channels than there are pixels.
  shown(row, cell) {
    const { values, bins } = row
    if (bins === values.length) return row.channelAt[cell]
    const edge = (at) => Math.floor((at * values.length) / bins)
    return strongestOf(row, edge(cell), edge(cell + 1))
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect()
    const row = Math.floor((event.clientY - box.top - this.top) / this.pitch)
    if (!this.rows[row]) return null
    const place = Math.floor((event.clientX - box.left - this.left) / this.rows[row].cell)
    if (place < 0 || place >= this.rows[row].bins) return null
    return { row, channel: this.shown(this.rows[row], place) }
  }

  place({ row, channel }) {
    const { values, bins, cell, placeOf } = this.rows[row]
    const place = Math.floor((placeOf[channel] * bins) / values.length)
    return [this.left + place * cell, this.top + row * this.pitch, cell, this.pitch]
  }

  // --- drawing ----------------------------------------------------------------------------------------------

  measure(name) {
    const pen = this.canvas.getContext("2d")
    pen.font = this.font()
    return pen.measureText(name).width
  }

  font() {
    return `12px ${this.style("--st-font") || "sans-serif"}`
  }

  style(name) {
    return getComputedStyle(this.root).getPropertyValue(name).trim()
  }

  draw() {
    if (!this.root.clientWidth) return
    if (this.stale) this.drawBase()
    this.stale = false
    const pen = this.canvas.getContext("2d")
    pen.setTransform(1, 0, 0, 1, 0, 0)
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height)
    pen.drawImage(this.base, 0, 0)
    pen.scale(this.ratio, this.ratio)
    if (this.hovered) this.frameCell(pen, this.hovered, 1)
    if (this.selected) this.frameCell(pen, this.selected, 2)
  }

  drawBase() {
    this.layout()
    this.ratio = window.devicePixelRatio || 1
    for (const canvas of [this.canvas, this.base]) {
      canvas.width = Math.round(this.width * this.ratio)
      canvas.height = Math.round(this.height * this.ratio)
    }
    this.canvas.style.height = `${this.height}px`
    const pen = this.base.getContext("2d")
    pen.scale(this.ratio, this.ratio)
    const hatch = pattern(pen)
    this.rows.forEach((row, index) => {
      this.cells(pen, row, index, hatch)
      this.words(pen, row, index)
    })
  }

  // The whole row is hatched at once; then the living are painted over it and the gaps between cells cleared.
  cells(pen, row, index, hatch) {
    const top = this.top + index * this.pitch
    const high = this.pitch - 2
    pen.fillStyle = hatch
    pen.fillRect(this.left, top, row.bins * row.cell, high)
    for (let place = 0; place < row.bins; place++) {
      const channel = this.shown(row, place)
      if (row.values[channel] > 0) this.living(pen, row, channel, this.left + place * row.cell, top)
      if (row.cell >= 4) pen.clearRect(this.left + (place + 1) * row.cell - 1, top, 1, high)
    }
  }

  living(pen, row, channel, left, top) {
    const [wide, high] = [row.cell >= 4 ? row.cell - 1 : row.cell, this.pitch - 2]
    pen.fillStyle = this.shade(row.values[channel])
    pen.fillRect(left, top, wide, high)
    if (!row.near[channel]) return
    pen.strokeStyle = pen.fillStyle = NEAR
    pen.lineWidth = 1.5
    if (wide >= 6) pen.strokeRect(left + 0.75, top + 0.75, wide - 1.5, high - 1.5)
    else pen.fillRect(left, top + high - 3, wide, 3) // no room for an outline: underlined
  }

  shade(norm) {
    const level = (Math.log(norm) - this.low) / this.span
    return SHADES[Math.round(255 * Math.min(1, Math.max(0, level)))]
  }

  words(pen, row, index) {
    const every = Math.ceil(13 / this.pitch)
    if (index % every) return
    pen.font = this.font()
    pen.textBaseline = "middle"
    pen.fillStyle = this.style("--st-text-color") || "#808495"
    const middle = this.top + index * this.pitch + this.pitch / 2 - 1
    pen.textAlign = "right"
    pen.fillText(shortened(pen, row.name, this.left - 12), this.left - 8, middle)
    pen.globalAlpha = 0.75
    pen.fillText(`${row.alive}/${row.values.length}`, this.width - 2, middle)
    pen.globalAlpha = 1
  }

  frameCell(pen, cell, line) {
    const [x, y, wide, high] = this.place(cell)
    const extra = wide < 6 ? (6 - wide) / 2 : 0
    pen.lineWidth = line + 2
    pen.strokeStyle = this.style("--st-background-color") || "#fff"
    pen.strokeRect(x - extra - 0.5, y - 0.5, wide + 2 * extra, high - 1)
    pen.lineWidth = line
    pen.strokeStyle = this.style("--st-text-color") || "#808495"
    pen.strokeRect(x - extra - 0.5, y - 0.5, wide + 2 * extra, high - 1)
  }

  legend({ low, high }) {
    const [living, all] = this.rows.reduce(([a, b], row) => [a + row.alive, b + row.values.length], [0, 0])
    this.root.querySelector(".low").textContent = `norm [1], log scale: ≤ ${brief(low)}`
    this.root.querySelector(".high").textContent = brief(high)
    this.root.querySelector(".scale").style.background = `linear-gradient(90deg, ${CIVIDIS.join(", ")})`
    const near = this.rows.reduce((sum, row) => sum + row.near.reduce((a, b) => a + b, 0), 0)
    this.root.querySelector(".count").textContent = `${living} of ${all} groups alive, ${near} of them near`
  }

  // --- what the user does -----------------------------------------------------------------------------------

  hover(cell, event) {
    this.hovered = cell
    this.tip.hidden = !cell
    if (cell) this.showTip(cell, event)
    this.schedule()
  }

  showTip(cell, event) {
    this.tip.textContent = this.say(cell)
    const box = this.canvas.getBoundingClientRect()
    const x = Math.min(event.clientX - box.left + 14, this.width - this.tip.offsetWidth - 4)
    const below = event.clientY - box.top + 18
    const y = below + this.tip.offsetHeight > this.height + 24 ? below - this.tip.offsetHeight - 30 : below
    this.tip.style.transform = `translate(${Math.max(x, 0)}px, ${y}px)`
  }

  say({ row, channel }) {
    return `${this.rows[row].name}\nchannel ${channel}: ${stateOf(this.rows[row], channel)}`
  }

  select(cell, wait = REPORT_AFTER) {
    this.selected = cell
    this.root.querySelector(".said").textContent = cell ? this.say(cell) : "nothing selected"
    this.schedule()
    clearTimeout(this.timer)
    const chosen = cell && { layer: this.rows[cell.row].name, channel: cell.channel }
    const run = this.run
    this.timer = setTimeout(() => {
      this.given = JSON.stringify([run, chosen && [chosen.layer, chosen.channel]])
      this.report({ run, ...chosen })
    }, wait)
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.rows.length) return
    const target = this.moved(event.key)
    if (target === undefined) return
    event.preventDefault()
    this.hover(null)
    this.select(target)
  }

  // Where a key leads from the selected cell: a cell, null for nothing selected, undefined for other keys.
  moved(key) {
    if (key === "Escape") return null
    const { row, channel } = this.selected || { row: 0, channel: this.rows[0].channelAt[0] }
    const { channelAt, placeOf } = this.rows[row]
    const [place, last] = [placeOf[channel], channelAt.length - 1]
    const steps = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: last }
    if (key in steps) return { row, channel: channelAt[this.selected ? Math.min(Math.max(steps[key], 0), last) : 0] }
    if (key === "ArrowUp" || key === "ArrowDown") return this.neighbour(row, place, key === "ArrowUp" ? -1 : 1)
    if (key === "[" || key === "]") return { row, channel: this.survivor(row, place, key === "[" ? -1 : 1) }
    return undefined
  }

  neighbour(row, place, step) {
    const next = this.selected ? Math.min(Math.max(row + step, 0), this.rows.length - 1) : 0
    const { channelAt } = this.rows[next]
    return { row: next, channel: channelAt[Math.min(place, channelAt.length - 1)] }
  }

  survivor(row, place, step) {
    const { values, channelAt } = this.rows[row]
    for (let i = place + step; i >= 0 && i < values.length; i += step) if (values[channelAt[i]] > 0) return channelAt[i]
    return channelAt[place]
  }
}
