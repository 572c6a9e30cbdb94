// The survival map of a run: the newest norms of all groups. A call with new data repaints the canvas that is there, so
// that focus, selection and the pointer stay.

import { CIVIDIS, NEAR_BIT, brief, gradient, levelsOf, normLegend, normPalette, said } from "./colours.js"
import { mapsPicture } from "./drawing.js"
import { ChannelMap, mounted } from "./map.js"
import { aliveIn } from "./painting.js"
import { Picker } from "./picking.js"
import { bitsOf, cellNamed, floatsOf, groupOf, nameOf, quoted, rowsOf } from "./rows.js"

const maps = new WeakMap()

export default function (component) {
  const [map, close] = mounted(maps, component, (parent) => new SurvivalMap(parent.querySelector(".map")))
  map.picker.report = (value) => component.setTriggerValue("picked", value)
  map.update(component.data)
  return close
}

class SurvivalMap {
  constructor(root) {
    this.find = (name) => root.querySelector(name)
    root.picture = () => this.picture() // asked for by the menu of the figure
    this.picker = new Picker()
    this.palette = normPalette()
    this.map = new ChannelMap(this.find(".board"), {
      say: (cell) => this.say(cell),
      picked: (cell, key) => this.pick(cell, key),
    })
    this.find(".scale").style.background = gradient(CIVIDIS)
    this.observer = new ResizeObserver(() => this.map.resize() && this.map.draw())
    this.observer.observe(root)
  }

  picture() {
    const one = { title: "", rows: this.rows, levels: this.levels, palette: this.palette }
    return mapsPicture([one], normLegend(this.data))
  }

  close() {
    this.observer.disconnect()
    this.picker.close()
  }

  // The page is drawn again far more often than the norms change: then only what is selected or named may be new.
  update(data) {
    const ink = this.map.style("--st-text-color")
    const { norms, near, order, low, high, layers, counts } = data
    const drawn = JSON.stringify([norms, near, order, low, high, layers, counts, ink])
    this.data = data
    if (drawn === this.drawn) return this.adopt()
    this.drawn = drawn
    this.norms = floatsOf(data.norms)
    this.levels = levelsOf(this.norms, bitsOf(data.near, this.norms.length), data)
    this.rows = rowsOf(data.layers, data.counts, data.order)
    this.adopt()
    this.map.show(this.rows, this.levels, this.palette)
    this.legend()
  }

  adopt() {
    const { of, selected } = this.data
    this.picker.adopt(of, selected, cellNamed(this.rows, selected))
    this.map.mark("selected", this.picker.cell)
  }

  legend() {
    const alive = this.rows.reduce((sum, row) => sum + aliveIn(row, this.levels), 0)
    const near = this.levels.reduce((sum, level) => sum + (level > NEAR_BIT), 0)
    this.find(".low").textContent = `norm [1], log scale: ≤ ${brief(this.data.low)}`
    this.find(".high").textContent = brief(this.data.high)
    this.find(".count").textContent = `${alive} of ${this.levels.length} groups alive, ${near} of them near`
  }

  say(cell) {
    const group = groupOf(this.rows, cell)
    const words = said(this.levels[group], this.data, this.norms[group])
    const { name } = this.rows[cell.row]
    return `${name}\n${this.data.noun} ${cell.channel}${quoted(this.data.called, name, cell.channel)}: ${words}`
  }

  pick(cell, key) {
    this.map.mark("selected", cell)
    this.find(".said").textContent = cell ? this.say(cell) : "nothing selected"
    this.picker.pick(cell, nameOf(this.rows, cell), key)
  }
}
