// Where the parts of the drawing of a network stand, and which node a key leads to: pure functions.

export const BOX_WIDE = 172 // px of a node
export const BOX_HIGH = 44
const APART = 16 // px between two nodes side by side
const DOWN = 68 // px from one row to the next
const MARGIN = 14

// A place of the layout, [across, down], as the middle of a node [px]
export function middle([across, down]) {
  return [MARGIN + BOX_WIDE / 2 + across * (BOX_WIDE + APART), MARGIN + BOX_HIGH / 2 + down * DOWN]
}

// [width, height] of the whole [px]
export function extentOf(places) {
  const far = (which) => Math.max(0, ...places.map((place) => middle(place)[which]))
  return [far(0) + BOX_WIDE / 2 + MARGIN, far(1) + BOX_HIGH / 2 + MARGIN]
}

// Whether a node stands for the layer that is selected
export function chosen({ selected }, { layer }) {
  return Boolean(layer) && layer === selected
}

// The place of the node that is to be in sight: the selected one; without one, the first, if the network is `fresh`
export function opening(data, fresh) {
  const place = data.nodes.findIndex((node) => chosen(data, node))
  return place < 0 && fresh ? 0 : place
}

// The path of an edge over its places: from the foot of the first to the head of the last, upright at every place
export function pathOf(places) {
  const points = places.map(middle)
  points[0] = [points[0][0], points[0][1] + BOX_HIGH / 2]
  const end = points.length - 1
  points[end] = [points[end][0], points[end][1] - BOX_HIGH / 2]
  const [[x, y], ...rest] = points
  let [before, text] = [y, `M${round(x)} ${round(y)}`]
  let left = x
  for (const [across, down] of rest) {
    const half = (before + down) / 2
    text += `C${round(left)} ${round(half)} ${round(across)} ${round(half)} ${round(across)} ${round(down)}`
    ;[left, before] = [across, down]
  }
  return text
}

function round(value) {
  return Math.round(value * 10) / 10
}

// The node that an arrow leads to from another: along the streams up and down, else the nearest of its row; -1 for none
export function reached(nodes, edges, from, key) {
  if (from < 0) return nodes.length ? 0 : -1
  if (key === "Home") return 0
  if (key === "End") return nodes.length - 1
  const [x, y] = nodes[from].at
  const near = (found) => found.sort((a, b) => Math.abs(nodes[a].at[0] - x) - Math.abs(nodes[b].at[0] - x))[0] ?? from
  if (key === "ArrowDown") return near(edges.filter(({ from: source }) => source === from).map(({ to }) => to))
  if (key === "ArrowUp") return near(edges.filter(({ to }) => to === from).map(({ from: source }) => source))
  const side = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0
  const beside = nodes.flatMap(({ at }, place) => (at[1] === y && (at[0] - x) * side > 0 ? [place] : []))
  return side ? near(beside) : from
}
