// Two maps and their difference. A cell that is pointed at or selected in one is framed in all three.

// blue: only in A, orange: only in B, grey: in both alike; colours that read on a white and on a dark page
const APART = ["#2166c4", "#8fb4dd", "#9c9ca3", "#e6ae7c", "#d55e00"]
const ONLY_A = 254
const ONLY_B = 255
const pairs = new WeakMap()

export default function (component) {
  const { data, parentElement } = component
  let pair = pairs.get(parentElement)
  if (!pair) {
    pair = new Pair(parentElement.querySelector(".pair"))
    pairs.set(parentElement, pair)
  }
  pair.update(data)
  return () => {
    pair.close()
    pairs.delete(parentElement)
  }
}

class Pair {
  constructor(root) {
    this.root = root
    this.find = (name) => root.querySelector(name)
    this.maps = ["A", "B", "difference"].map((name) => this.made(name))
    this.find(".scale").style.background = `linear-gradient(90deg, ${CIVIDIS.join(", ")})`
    this.find(".apart").style.background = `linear-gradient(90deg, ${APART.join(", ")})`
    this.observer = new ResizeObserver(() => this.layout())
    this.observer.observe(root)
  }

  made(name) {
    const one = this.find("template").content.firstElementChild.cloneNode(true)
    this.find(".three").append(one)
    one.querySelector("canvas").setAttribute("aria-label", `Map ${name}: layers by channels. Arrow keys move.`)
    const map = new LevelMap(one.querySelector(".board"), { say: (cell) => this.say(cell) })
    map.title = one.querySelector(".title")
    map.moved = (cell) => this.maps.forEach((other) => other.mark("hovered", cell))
    map.picked = (cell) => this.pick(cell)
    return map
  }

  close() {
    this.observer.disconnect()
  }

  update(data) {
    if (this.data && this.data.digest === data.digest) return
    this.data = data
    this.levels = [data.a, data.b, data.difference].map(bytesOf)
    const titles = [`A · ${data.titles[0]}`, `B · ${data.titles[1]}`, "Difference, B against A"]
    this.maps.forEach((map, i) => {
      map.title.textContent = titles[i]
      map.layers(data.layers, data.counts)
    })
    this.find(".low").textContent = `norm [1], log scale: ≤ ${brief(data.low)}`
    this.find(".high").textContent = brief(data.high)
    this.pick(null)
    this.layout()
  }

  layout() {
    if (!this.data || !this.root.clientWidth) return
    this.maps.forEach((map, i) => {
      map.layout()
      map.show(this.levels[i], ...(i < 2 ? normColours() : differenceColours()))
    })
  }

  pick(cell) {
    this.maps.forEach((map) => map.mark("selected", cell))
    this.find(".fate").textContent = cell ? this.say(cell).replace("\n", ", ") : "Click a channel to compare it."
    this.find(".said").textContent = cell ? this.say(cell) : "nothing selected"
  }

  say(cell) {
    const row = this.maps[0].rows[cell.row]
    const [a, b] = this.levels.slice(0, 2).map((levels) => normSaid(levels[row.first + cell.channel], this.data))
    return `${row.name}\nchannel ${cell.channel}: A ${a}; B ${b}`
  }
}

function differenceColours() {
  const colours = new Uint32Array(256)
  colours.set(between(APART.slice(1, 4), 253), 1)
  colours[ONLY_A] = pixel(APART[0])
  colours[ONLY_B] = pixel(APART[4])
  return [colours, new Uint32Array(256)]
}
