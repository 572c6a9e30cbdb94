// The scrubber of a path: slider, charts and map move together, in the browser alone. What is shown is always a network
// that was trained: between two of them the nearest is shown and called so.

const scrubbers = new WeakMap()

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  let scrubber = scrubbers.get(parentElement)
  if (!scrubber) {
    scrubber = new Scrubber(parentElement.querySelector(".scrubber"))
    scrubbers.set(parentElement, scrubber)
  }
  scrubber.report = (value) => setTriggerValue("asked", value)
  scrubber.update(data)
  return () => {
    scrubber.close()
    scrubbers.delete(parentElement)
  }
}

class Scrubber {
  constructor(root) {
    this.root = root
    this.find = (name) => root.querySelector(name)
    this.input = this.find("input")
    this.map = new LevelMap(this.find(".board"), { say: (cell) => this.say(cell), picked: (cell) => this.pick(cell) })
    this.map.moved = (cell) => this.map.mark("hovered", cell)
    this.colours = normColours()
    this.input.oninput = () => this.go(this.input.value / 1000)
    this.input.onkeydown = (event) => this.step(event)
    this.find(".open").onclick = () => this.report({ what: "open", path: this.data.path, run: this.here().run })
    this.find(".train").onclick = () => this.report({ what: "train", path: this.data.path, level: this.level(this.at) })
    this.find(".scale").style.background = `linear-gradient(90deg, ${CIVIDIS.join(", ")})`
    this.dragged()
    this.observer = new ResizeObserver(() => this.layout())
    this.observer.observe(root)
  }

  close() {
    this.observer.disconnect()
    cancelAnimationFrame(this.frame)
  }

  update(data) {
    const same = this.data && this.data.digest === data.digest
    if (same) return
    const other = !this.data || this.data.path !== data.path
    this.data = data
    this.groups = data.counts.reduce((sum, count) => sum + count, 0)
    this.levels = bytesOf(data.levels)
    if (other) this.at = data.points[data.first].place
    if (other) this.map.mark("selected", null)
    this.map.layers(data.layers, data.counts)
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
    this.map.layout()
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
    const last = this.data.points.length - 1
    const now = this.nearest()
    const steps = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last }
    if (!(event.key in steps)) return
    event.preventDefault()
    this.go(this.data.points[Math.min(Math.max(steps[event.key], 0), last)].place)
  }

  go(place) {
    this.at = Math.min(Math.max(place, 0), 1)
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.draw())
  }

  nearest() {
    let best = 0
    this.data.points.forEach(({ place }, i) => {
      if (Math.abs(place - this.at) < Math.abs(this.data.points[best].place - this.at)) best = i
    })
    return best
  }

  here() {
    return this.data.points[this.nearest()]
  }

  // What a place on the axis asks for, which no interpolated network answers: 0 is dense.
  level(place) {
    const { low, high, first, log } = this.data.axis
    if (!log) return Math.round(place * high * 10) / 10
    if (place < first / 2) return 0
    return Number((low * Math.exp((Math.max(place - first, 0) / (1 - first)) * Math.log(high / low))).toPrecision(3))
  }

  draw() {
    const point = this.nearest()
    const { label, place, marks, run } = this.data.points[point]
    this.input.value = Math.round(1000 * this.at)
    this.input.setAttribute("aria-valuetext", label)
    this.find(".level").textContent = label
    const between = Math.abs(place - this.at) > 0.002
    const asked = between ? `nearest computed to ${this.level(this.at)}${this.data.axis.unit}` : ""
    this.find(".asked").textContent = asked
    this.find(".marks").textContent = marks.join(" · ")
    this.find(".open").disabled = !run
    this.find(".train").disabled = !between || !this.level(this.at)
    this.find(".train").title = between ? "Train a network at this place" : "Move between two trained points first"
    this.panels.forEach((panel) => panel.show(point))
    if (point !== this.painted) this.map.show(this.of(point), ...this.colours)
    this.painted = point
    this.fate()
  }

  of(point) {
    return this.levels.subarray(point * this.groups, (point + 1) * this.groups)
  }

  say(cell) {
    const row = this.map.rows[cell.row]
    const level = this.of(this.nearest())[row.first + cell.channel]
    return `${row.name}\nchannel ${cell.channel}: ${normSaid(level, this.data)}`
  }

  pick(cell) {
    this.map.mark("selected", cell)
    this.fate()
    this.find(".said").textContent = cell ? this.say(cell) : "nothing selected"
  }

  // Say of the selected channel what became of it along the path.
  fate() {
    const cell = this.map.selected
    const words = this.find(".fate")
    if (!cell) {
      words.textContent = "Click a channel to see where along the path it dies."
      return
    }
    const group = this.map.rows[cell.row].first + cell.channel
    const dead = this.data.points.map((_, point) => !this.of(point)[group])
    const since = dead.lastIndexOf(false) + 1
    const ends = since < dead.length ? `dead from ${this.data.points[since].label} on` : "alive to the end of the path"
    words.textContent = `${this.say(cell).replace("\n", ", ")}; ${ends}`
  }
}
