// The scrubber of a path: slider, charts and map move together, in the browser alone. What is shown is always a network
// that was trained: between two of them the nearest is shown and called so.

import { deadFrom, levelAt, nearest, pointAfter } from "./axis.js"
import { CIVIDIS, brief, gradient, normLegend, normPalette, said } from "./colours.js"
import { mapsPicture } from "./drawing.js"
import { ChannelMap, mounted } from "./map.js"
import { Panel, made } from "./panels.js"
import { Picker } from "./picking.js"
import { bytesOf, cellNamed, groupOf, has, nameOf, quoted, rowsOf } from "./rows.js"

const scrubbers = new WeakMap()

export default function (component) {
  const [scrubber, close] = mounted(scrubbers, component, (parent) => new Scrubber(parent.querySelector(".scrubber")))
  scrubber.ask = (value) => component.setTriggerValue("asked", { of: scrubber.data.of, ...value })
  scrubber.picker.report = (value) => component.setTriggerValue("picked", value)
  scrubber.update(component.data)
  return close
}

class Scrubber {
  constructor(root) {
    this.root = root
    this.find = (name) => root.querySelector(name)
    root.picture = () => this.picture() // asked for by the menu of the figure
    this.input = this.find("input")
    this.picker = new Picker()
    this.palette = normPalette()
    this.map = new ChannelMap(this.find(".board"), {
      say: (cell) => this.say(cell),
      picked: (cell, key) => this.pick(cell, key),
    })
    this.input.oninput = () => this.go(this.input.value / 1000)
    this.input.onkeydown = (event) => this.step(event)
    this.find(".open").onclick = () => this.ask({ what: "open", run: this.here().run })
    this.find(".train").onclick = () => this.ask({ what: "train", level: levelAt(this.data.axis, this.at) })
    this.find(".scale").style.background = gradient(CIVIDIS)
    this.dragged()
    this.observer = new ResizeObserver(() => this.layout())
    this.observer.observe(root)
  }

  picture() {
    const point = nearest(this.data.points, this.at)
    const title = `At ${this.data.points[point].label}`
    return mapsPicture([{ title, rows: this.rows, levels: this.of(point), palette: this.palette }], normLegend(this.data))
  }

  close() {
    this.observer.disconnect()
    this.picker.close()
    cancelAnimationFrame(this.frame)
  }

  update(data) {
    if (this.data?.digest !== data.digest) this.take(data)
    this.data = data
    if (this.picker.adopt(data.of, data.selected, cellNamed(this.rows, data.selected))) this.mark(this.picker.cell)
  }

  take(data) {
    const other = this.data?.of !== data.of
    this.data = data
    this.rows = rowsOf(data.layers, data.counts)
    this.groups = data.counts.reduce((sum, count) => sum + count, 0)
    this.levels = bytesOf(data.levels)
    this.painted = -1
    if (other) this.at = data.points[data.first].place
    if (other || !has(this.rows, this.picker.cell)) this.picker.cell = null
    this.find(".low").textContent = `norm [1], log scale: ≤ ${brief(data.low)}`
    this.find(".high").textContent = brief(data.high)
    this.charts()
    this.layout()
  }

  charts() {
    const places = this.data.points.map((point) => point.place)
    const marks = this.data.points.flatMap((point, i) => (point.marks.length ? [i] : []))
    const parent = this.find(".panels")
    parent.replaceChildren()
    this.panels = this.data.panels.map((panel) => new Panel(parent, panel, places, marks))
    const ticks = this.find(".ticks")
    ticks.replaceChildren()
    this.data.points.forEach((point) => {
      const tick = made("span", { style: `left: ${100 * point.place}%` }, ticks)
      if (point.tick) made("i", {}, tick).textContent = point.tick
    })
  }

  layout() {
    if (!this.data || !this.root.clientWidth) return
    this.map.resize()
    this.painted = -1
    this.panels.forEach((panel) => panel.layout())
    this.draw()
  }

  // Dragging over a chart is dragging the slider.
  dragged() {
    const area = this.find(".panels")
    const follow = (event) => {
      const over = this.panels.find((panel) => panel.svg === this.held)
      if (over) this.go(over.shareAt(event))
    }
    area.onpointerdown = (event) => {
      this.held = event.target.closest("svg")
      if (this.held) area.setPointerCapture(event.pointerId)
      follow(event)
    }
    area.onpointermove = follow
    area.onpointerup = area.onpointercancel = () => (this.held = null)
  }

  // An arrow goes to the next trained point.
  step(event) {
    const target = pointAfter(event.key, nearest(this.data.points, this.at), this.data.points.length - 1)
    if (target === undefined) return
    event.preventDefault()
    this.go(this.data.points[target].place)
  }

  go(place) {
    this.at = Math.min(Math.max(place, 0), 1)
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.draw())
  }

  here() {
    return this.data.points[nearest(this.data.points, this.at)]
  }

  draw() {
    const point = nearest(this.data.points, this.at)
    const { label, place, marks, run } = this.data.points[point]
    const level = levelAt(this.data.axis, this.at)
    const between = Math.abs(place - this.at) > 0.002
    this.input.value = Math.round(1000 * this.at)
    this.input.setAttribute("aria-valuetext", label)
    this.find(".level").textContent = label
    this.find(".asked").textContent = between ? `nearest computed to ${level}${this.data.axis.unit}` : ""
    this.find(".marks").textContent = marks.join(" · ")
    this.find(".open").disabled = !run
    this.find(".train").disabled = !between || !level
    this.find(".train").title = between ? "Train a network at this place" : "Move between two trained points first"
    this.panels.forEach((panel) => panel.show(point))
    if (point !== this.painted) this.map.show(this.rows, this.of(point), this.palette)
    this.painted = point
    this.along()
  }

  of(point) {
    return this.levels.subarray(point * this.groups, (point + 1) * this.groups)
  }

  say(cell) {
    const point = nearest(this.data.points, this.at)
    const [level, { name }] = [this.of(point)[groupOf(this.rows, cell)], this.rows[cell.row]]
    const called = quoted(this.data.called[point], name, cell.channel)
    return `${name}\n${this.data.noun} ${cell.channel}${called}: ${said(level, this.data)}`
  }

  pick(cell, key) {
    this.picker.pick(cell, nameOf(this.rows, cell), key)
    this.mark(cell)
  }

  mark(cell) {
    this.map.mark("selected", cell)
    this.along()
    this.find(".said").textContent = cell ? this.say(cell) : "nothing selected"
  }

  // Say of the selected channel where along the path it dies.
  along() {
    const cell = this.picker.cell
    const words = this.find(".along")
    if (!cell) {
      words.textContent = "Click a channel to see where along the path it dies."
      return
    }
    const group = groupOf(this.rows, cell)
    const since = deadFrom(this.data.points.map((_, point) => !this.of(point)[group]))
    const ends = since < this.data.points.length ? `dead from ${this.data.points[since].label} on` : "alive to the end of the path"
    words.textContent = `${this.say(cell).replace("\n", ", ")}; ${ends}`
  }
}
