// Two maps and their difference. A cell that is pointed at or selected in one is framed in all three.

import { APART, CIVIDIS, brief, differencePalette, gradient, normLegend, normPalette, said } from "./colours.js"
import { mapsPicture } from "./drawing.js"
import { ChannelMap, mounted } from "./map.js"
import { Picker } from "./picking.js"
import { bytesOf, cellNamed, groupOf, has, nameOf, quoted, rowsOf } from "./rows.js"

const pairs = new WeakMap()

export default function (component) {
  const [pair, close] = mounted(pairs, component, (parent) => new Pair(parent.querySelector(".pair")))
  pair.picker.report = (value) => component.setTriggerValue("picked", value)
  pair.update(component.data)
  return close
}

class Pair {
  constructor(root) {
    this.find = (name) => root.querySelector(name)
    root.picture = () => this.picture() // asked for by the menu of the figure
    this.picker = new Picker()
    this.palettes = [normPalette(), normPalette(), differencePalette()]
    this.maps = ["A", "B", "difference"].map((name) => this.made(name))
    this.find(".scale").style.background = gradient(CIVIDIS)
    this.find(".apart").style.background = gradient(APART)
    this.observer = new ResizeObserver(() => this.maps.forEach((map) => map.resize() && map.draw()))
    this.observer.observe(root)
  }

  made(name) {
    const one = this.find("template").content.firstElementChild.cloneNode(true)
    this.find(".three").append(one)
    one.querySelector("canvas").setAttribute("aria-label", `Map ${name}: layers by channels. Arrow keys move.`)
    const map = new ChannelMap(one.querySelector(".board"), {
      say: (cell) => this.say(cell),
      moved: (cell) => this.maps.forEach((other) => other.mark("hovered", cell)),
      picked: (cell, key) => this.pick(cell, key),
    })
    map.title = one.querySelector(".title")
    return map
  }

  picture() {
    const one = (at) => {
      return { title: this.maps[at].title.textContent, rows: this.rows, levels: this.levels[at], palette: this.palettes[at] }
    }
    const apart = [{ word: "difference: only in A … only in B", colour: APART }]
    return mapsPicture([0, 1, 2].map(one), [...normLegend(this.data), ...apart], 1300)
  }

  close() {
    this.observer.disconnect()
    this.picker.close()
  }

  update(data) {
    if (this.data?.digest !== data.digest) this.draw(data)
    this.data = data
    if (this.picker.adopt(data.of, data.selected, cellNamed(this.rows, data.selected))) this.mark(this.picker.cell)
  }

  draw(data) {
    this.data = data
    this.rows = rowsOf(data.layers, data.counts)
    this.levels = [data.a, data.b, data.difference].map(bytesOf)
    const titles = [`A · ${data.titles[0]}`, `B · ${data.titles[1]}`, "Difference, B against A"]
    this.maps.forEach((map, i) => {
      map.title.textContent = titles[i]
      map.show(this.rows, this.levels[i], this.palettes[i])
    })
    this.find(".low").textContent = `norm [1], log scale: ≤ ${brief(data.low)}`
    this.find(".high").textContent = brief(data.high)
    this.mark(has(this.rows, this.picker.cell) ? this.picker.cell : null)
  }

  mark(cell) {
    this.maps.forEach((map) => map.mark("selected", cell))
    this.find(".both").textContent = cell ? this.say(cell).replace("\n", ", ") : "Click a channel to compare it."
    this.find(".said").textContent = cell ? this.say(cell) : "nothing selected"
  }

  pick(cell, key) {
    this.picker.pick(cell, nameOf(this.rows, cell), key)
    this.mark(cell)
  }

  say(cell) {
    const group = groupOf(this.rows, cell)
    const [a, b] = this.levels.slice(0, 2).map((levels) => said(levels[group], this.data))
    const { name } = this.rows[cell.row]
    const [one, other] = this.data.called.map((called) => quoted(called, name, cell.channel))
    return `${name}\n${this.data.noun} ${cell.channel}: A${one} ${a}; B${other} ${b}`
  }
}
