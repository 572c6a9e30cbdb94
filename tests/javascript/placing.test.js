import assert from "node:assert/strict"
import { test } from "node:test"

import { BOX_HIGH, BOX_WIDE, extentOf, middle, opening, pathOf, reached } from "../../dashboard/canvas/placing.js"

// 0 → 1 → 3, 0 → 2 → 3
const NODES = [{ at: [0.5, 0] }, { at: [0, 1] }, { at: [1, 1] }, { at: [0.5, 2] }]
const EDGES = [
  { from: 0, to: 1 },
  { from: 0, to: 2 },
  { from: 1, to: 3 },
  { from: 2, to: 3 },
]

test("boxes lie within the whole", () => {
  const [width, height] = extentOf(NODES.map(({ at }) => at))
  for (const { at } of NODES) {
    const [x, y] = middle(at)
    assert.ok(x - BOX_WIDE / 2 >= 0 && x + BOX_WIDE / 2 <= width)
    assert.ok(y - BOX_HIGH / 2 >= 0 && y + BOX_HIGH / 2 <= height)
  }
})

test("an edge leads from the foot of one box to the head of the other, over every place", () => {
  const path = pathOf([
    [0, 0],
    [1, 1],
    [0, 2],
  ])
  const [x, y] = middle([0, 0])
  assert.ok(path.startsWith(`M${x} ${y + BOX_HIGH / 2}C`))
  assert.equal(path.match(/C/g).length, 2)
  assert.ok(path.endsWith(`${middle([0, 2])[0]} ${middle([0, 2])[1] - BOX_HIGH / 2}`))
})

test("arrows follow the streams, and go to the nearest of a row", () => {
  assert.equal(reached(NODES, EDGES, -1, "ArrowDown"), 0)
  assert.equal(reached(NODES, EDGES, 1, "ArrowDown"), 3)
  assert.equal(reached(NODES, EDGES, 2, "ArrowUp"), 0)
  assert.equal(reached(NODES, EDGES, 1, "ArrowRight"), 2)
  assert.equal(reached(NODES, EDGES, 2, "ArrowRight"), 2)
  assert.equal(reached(NODES, EDGES, 3, "ArrowDown"), 3)
  assert.equal(reached(NODES, EDGES, 1, "End"), 3)
  assert.equal(reached([], [], -1, "End"), -1)
})

test("the selected layer is in sight; without one, a fresh network opens on its first node, and another stays put", () => {
  const nodes = [{ layer: null }, { layer: "a" }, { layer: "b" }]
  assert.equal(opening({ nodes, selected: "b" }, true), 2)
  assert.equal(opening({ nodes, selected: "b" }, false), 2)
  assert.equal(opening({ nodes, selected: null }, true), 0)
  assert.equal(opening({ nodes, selected: null }, false), -1)
})
